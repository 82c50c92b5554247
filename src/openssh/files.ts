import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Largest text file that is read, in bytes. */
const fileLimit = 64 * 1024 * 1024

/** The text of a regular file as latin1, or undefined when it is missing, unreadable, too large or something else. */
export function readTextFile(path: string): string | undefined {
  try {
    const status = statSync(path)
    return status.isFile() && status.size <= fileLimit ? readFileSync(path, 'latin1') : undefined
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
  const fd = openSync(path, 'a+', 0o600)
  try {
    const { size } = fstatSync(fd)
    const last = Buffer.alloc(1)
    const cut = size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a
    writeSync(fd, `${cut ? '\n' : ''}${line}\n`)
  } finally {
    closeSync(fd)
  }
}

/**
 * StrictModes: a file, and each folder from it up to the home folder, must belong to the user (or root) and be writable
 * by nobody else. @returns what is wrong, in sshd's words
 */
export function checkStrictModes(file: string, home: string, uid: number): string | undefined {
  let path = file
  for (let kind = 'file'; ; kind = 'directory') {
    const { uid: owner, mode } = statSync(path)
    if ((owner !== uid && owner !== 0) || (mode & 0o022) !== 0) {
      return `Authentication refused: bad ownership or modes for ${kind} ${path}`
    }
    if (path === home || path === dirname(path)) return undefined
    path = dirname(path)
  }
}
