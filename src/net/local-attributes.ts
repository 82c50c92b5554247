import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { type Attributes, typeOfMode } from '../../lib/sftp/attributes.ts'
import type { FileSystemStatistics } from '../../lib/sftp/filesystem.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { accountTable } from './accounts.ts'
import type { NativePath } from './confinement.ts'

const billion = 1_000_000_000n

export function attributesOfStats(stats: fs.BigIntStats): Attributes {
  const mode = Number(stats.mode)
  const atimeNs = nanosecondsOf(stats.atimeNs)
  const mtimeNs = nanosecondsOf(stats.mtimeNs)
  const ctimeNs = nanosecondsOf(stats.ctimeNs)
  const attributes: Attributes = {
    type: typeOfMode(mode) ?? 'unknown',
    size: Number(stats.size),
    allocationSize: Number(stats.blocks) * 512,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    permissions: mode & 0o7777,
    linkCount: Number(stats.nlink),
    atime: secondsOf(stats.atimeNs, atimeNs),
    atimeNs,
    mtime: secondsOf(stats.mtimeNs, mtimeNs),
    mtimeNs,
    ctime: secondsOf(stats.ctimeNs, ctimeNs),
    ctimeNs,
  }
  if (stats.birthtimeNs > 0n) {
    attributes.crtimeNs = nanosecondsOf(stats.birthtimeNs)
    attributes.crtime = secondsOf(stats.birthtimeNs, attributes.crtimeNs)
  }
  return attributes
}

/** What is left of whole seconds, which are rounded down, also before 1970. */
function nanosecondsOf(time: bigint): number {
  const left = Number(time % billion)
  return left < 0 ? left + 1e9 : left
}

/** Whole seconds. In numbers, which hold them exactly: arithmetic of long integers takes longer than stat(2). */
const secondsOf = (time: bigint, nanoseconds: number): number => Math.round((Number(time) - nanoseconds) / 1e9)

export function statisticsOf(stats: fs.StatsFs): FileSystemStatistics {
  return {
    blockSize: stats.bsize,
    fragmentSize: stats.bsize,
    blocks: stats.blocks,
    freeBlocks: stats.bfree,
    availableBlocks: stats.bavail,
    files: stats.files,
    freeFiles: stats.ffree,
    availableFiles: stats.ffree,
    id: 0,
    flags: 0,
    maximumNameLength: 255,
  }
}

const ftruncate = promisify(fs.ftruncate)
const truncate = promisify(fs.truncate)
const fchown = promisify(fs.fchown)
const chown = promisify(fs.chown)
const lchown = promisify(fs.lchown)
const fchmod = promisify(fs.fchmod)
const chmod = promisify(fs.chmod)
const futimes = promisify(fs.futimes)
const utimes = promisify(fs.utimes)
const lutimes = promisify(fs.lutimes)
const stat = promisify(fs.stat)
const fstat = promisify(fs.fstat)
const lstat = promisify(fs.lstat)

/** Changes a file, open or by its path: size, owner, mode and times, in this order, as a change of owner clears bits. */
export async function changeFile(file: number | NativePath, changes: Attributes): Promise<void> {
  const open = typeof file === 'number'
  if (changes.size !== undefined) await (open ? ftruncate(file, changes.size) : truncate(file, changes.size))
  const owner = await ownerOf(changes)
  if (owner) await (open ? fchown(file, owner.uid, owner.gid) : chown(file, owner.uid, owner.gid))
  if (changes.permissions !== undefined) {
    const mode = changes.permissions & 0o7777
    await (open ? fchmod(file, mode) : chmod(file, mode))
  }
  const times = await timesOf(changes, () => (open ? fstat(file) : stat(file)))
  if (times) await (open ? futimes(file, ...times) : utimes(file, ...times))
}

/** Mode and times of an open file, at once: what is kept of a small file that is copied. */
export function changeFileAtOnce(
  descriptor: number,
  { permissions, atime, atimeNs, mtime, mtimeNs }: Attributes,
): void {
  if (permissions !== undefined) fs.fchmodSync(descriptor, permissions & 0o7777)
  if (atime === undefined || mtime === undefined) return
  fs.futimesSync(descriptor, withFraction(atime, atimeNs), withFraction(mtime, mtimeNs))
}

const withFraction = (seconds: number, nanoseconds = 0): number => seconds + nanoseconds / 1e9

/** Changes a link itself. @throws SftpError op-unsupported for what links do not have */
export async function changeLink(link: NativePath, changes: Attributes): Promise<void> {
  if (changes.size !== undefined) throw new SftpError('invalid-parameter')
  const owner = await ownerOf(changes)
  if (owner) await lchown(link, owner.uid, owner.gid)
  const times = await timesOf(changes, () => lstat(link))
  if (times) await lutimes(link, ...times)
  if (changes.permissions !== undefined) throw new SftpError('op-unsupported')
}

/** chown(2) leaves alone what is -1. */
const unchanged = -1

async function ownerOf(changes: Attributes): Promise<{ uid: number; gid: number } | undefined> {
  const uid = changes.uid ?? (await idOf('/etc/passwd', changes.owner, 'owner-invalid'))
  const gid = changes.gid ?? (await idOf('/etc/group', changes.group, 'group-invalid'))
  return uid === undefined && gid === undefined ? undefined : { uid: uid ?? unchanged, gid: gid ?? unchanged }
}

async function idOf(
  path: string,
  name: string | undefined,
  code: 'owner-invalid' | 'group-invalid',
): Promise<number | undefined> {
  if (name === undefined) return undefined
  const id = (await accountTable(path)).ids.get(name)
  if (id === undefined) throw new SftpError(code)
  return id
}

async function timesOf(changes: Attributes, now: () => Promise<fs.Stats>): Promise<[number, number] | undefined> {
  const { atime, mtime } = changes
  if (atime === undefined && mtime === undefined) return undefined
  const old = atime === undefined || mtime === undefined ? await now() : undefined
  return [
    atime === undefined ? old!.atimeMs / 1000 : withFraction(atime, changes.atimeNs),
    mtime === undefined ? old!.mtimeMs / 1000 : withFraction(mtime, changes.mtimeNs),
  ]
}
