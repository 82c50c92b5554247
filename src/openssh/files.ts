import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Largest text file that is read, in bytes. */
const textLimit = 64 * 1024 * 1024

/** Bytes that are asked for at once. */
const readSize = 64 * 1024

/**
 * The contents of a regular file of at most `limit` bytes. A pipe or a device is refused without waiting for it.
 * @throws what the system says, `EFBIG` for a file that is too large, `EINVAL` for what is no regular file
 */
export function readRegularFile(path: string, limit: number): Buffer {
  const { fd, size } = openRegularFile(path, limit)
  try {
    return readUpTo(fd, size, limit, path)
  } finally {
    closeSync(fd)
  }
}

function openRegularFile(path: string, limit: number): { fd: number; size: number } {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const status = fstatSync(fd)
    if (!status.isFile()) throw systemError('EINVAL', `${path} is not a regular file`)
    if (status.size > limit) throw systemError('EFBIG', `${path} is too large`)
    return { fd, size: status.size }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Bytes of whole lines that are read at once: strings of this length are young, and their memory is soon used again. */
const linesLength = 64 * 1024

/** The text of a regular file as latin1, some whole lines at a time. @throws as readRegularFile does */
export function* readWholeLines(path: string, limit: number): Generator<string> {
  const { fd } = openRegularFile(path, limit)
  try {
    let memory = Buffer.allocUnsafe(linesLength)
    let length = 0
    for (let total = 0; ; ) {
      if (length === memory.length) memory = Buffer.concat([memory], 2 * length)
      const count = readSync(fd, memory, length, memory.length - length, null)
      total += count
      if (total > limit) throw systemError('EFBIG', `${path} is too large`)
      length += count
      const end = count === 0 ? length : memory.subarray(0, length).lastIndexOf(0x0a) + 1
      if (end > 0) yield memory.toString('latin1', 0, end)
      if (count === 0) return
      memory.copyWithin(0, end, length)
      length -= end
    }
  } finally {
    closeSync(fd)
  }
}

/** The size may be wrong (a file that grows, or one of /proc): reads to the end, but never past the limit. */
function readUpTo(fd: number, size: number, limit: number, path: string): Buffer {
  let contents = Buffer.allocUnsafe(Math.max(size + 1, 512))
  let length = 0
  for (;;) {
    if (length === contents.length) contents = Buffer.concat([contents], length + Math.max(length, readSize))
    const count = readSync(fd, contents, length, contents.length - length, null)
    if (count === 0) return contents.subarray(0, length)
    length += count
    if (length > limit) throw systemError('EFBIG', `${path} is too large`)
  }
}

const systemError = (code: string, message: string): Error => Object.assign(new Error(message), { code })

/** The text of a regular file as latin1, or undefined when it is missing, unreadable, too large or something else. */
export function readTextFile(path: string): string | undefined {
  try {
    return readRegularFile(path, textLimit).toString('latin1')
  } catch {
    return undefined
  }
}

/**
 * Appends a line in one write, so that many processes may do so at once; first ends a last line that has no newline.
 * The folder (0700) and the file (0600) are made when missing. @throws what the system says
 */
export function appendLine(path: string, line: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
  const fd = openSync(path, flags, 0o600)
  try {
    const cut = lacksNewline(fd)
    writeAll(fd, Buffer.from(`${cut ? '\n' : ''}${line}\n`, 'latin1'))
  } finally {
    closeSync(fd)
  }
}

/** How often, and how long in milliseconds, the end of a file that another process may be writing is looked at again. */
const looks = { count: 5, pause: 1 }

/** Whether a file ends within a line, and not only because another process is in the middle of its write. */
function lacksNewline(fd: number): boolean {
  const last = Buffer.alloc(1)
  for (let look = 0; look < looks.count; look++) {
    if (look > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, looks.pause)
    const status = fstatSync(fd)
    if (!status.isFile() || status.size === 0) return false
    if (readSync(fd, last, 0, 1, status.size - 1) === 1 && last[0] === 0x0a) return false
  }
  return true
}

function writeAll(fd: number, contents: Buffer): void {
  for (let at = 0; at < contents.length; ) at += writeSync(fd, contents, at)
}

/**
 * Replaces a file at once: whoever reads it, even after a crash, finds the old contents or the new ones. A symbolic link
 * stays, and its target is replaced. `mode` is for a file that did not exist; another keeps its owner and of its mode the
 * bits in `kept`.
 * @throws what the system says
 */
export function replaceFile(path: string, contents: string | Buffer, mode = 0o600, kept = 0o777): void {
  replaceIf(path, contents, mode, kept, () => true)
}

/** How often an edit begins anew when others write to the file meanwhile. */
const maxEdits = 20

/**
 * Replaces a file by what `edit` makes of its text, at once; what others appended in the meantime is edited too. A text
 * that stays as it was is not written. @throws what the system says, and when others never stop writing
 */
export function editFile(path: string, edit: (text: string) => string): 'changed' | 'unchanged' {
  for (let tries = 0; tries < maxEdits; tries++) {
    const before = readRegularFile(path, textLimit).toString('latin1')
    const after = edit(before)
    if (after === before) return 'unchanged'
    const isSame = (): boolean => readRegularFile(path, textLimit).toString('latin1') === before
    if (replaceIf(path, after, 0o600, 0o777, isSame)) return 'changed'
  }
  throw new Error('other processes keep writing to it')
}

/** @returns whether it was replaced: not when `isWanted` says no at the last moment */
function replaceIf(
  path: string,
  contents: string | Buffer,
  mode: number,
  kept: number,
  isWanted: () => boolean,
): boolean {
  const target = resolveTarget(path)
  const existing = statSync(target, { throwIfNoEntry: false })
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}`)
  const fd = openSync(temporary, 'wx', 0o600)
  try {
    try {
      writeAll(fd, typeof contents === 'string' ? Buffer.from(contents, 'latin1') : contents)
      // Root may edit a file of somebody else's; others cannot give files away.
      if (existing && existing.uid !== fstatSync(fd).uid) fchownSync(fd, existing.uid, existing.gid)
      fchmodSync(fd, existing ? existing.mode & kept : mode)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    const wanted = isWanted()
    if (wanted) renameSync(temporary, target)
    else rmSync(temporary)
    return wanted
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function resolveTarget(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Whether a private key file of this owner and mode may be used: OpenSSH asks only of the user's own that nobody else can read it. */
export const isPrivateEnough = (status: { readonly uid: number; readonly mode: number }, uid: number): boolean =>
  status.uid !== uid || (status.mode & 0o077) === 0

/** What is said of a private key file that is not. */
export const openPermissionsWarning = (file: string, mode: number): readonly string[] => [
  '@'.repeat(59),
  '@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @',
  '@'.repeat(59),
  `Permissions 0${(mode & 0o777).toString(8).padStart(3, '0')} for '${file}' are too open.`,
  'It is required that your private key files are NOT accessible by others.',
  'This private key will be ignored.',
]

/**
 * StrictModes: a file, and each folder from it up to the home folder (else up to the root), must belong to the user or
 * root and be writable by nobody else. Links are followed first. @returns what is wrong, in sshd's words
 * @throws what the system says when there is no such file
 */
export function checkStrictModes(file: string, home: string, uid: number): string | undefined {
  const top = resolveTarget(home)
  let path = realpathSync(file)
  if (!statSync(path).isFile()) return `User file ${path} is not a regular file`
  for (let kind = 'file'; ; kind = 'directory') {
    const { uid: owner, mode } = statSync(path)
    if ((owner !== uid && owner !== 0) || (mode & 0o022) !== 0) {
      return `Authentication refused: bad ownership or modes for ${kind} ${path}`
    }
    if (path === top || path === dirname(path)) return undefined
    path = dirname(path)
  }
}
