import { sanitize } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Attributes } from './attributes.ts'
import type { DirectoryHandle, FileHandle, FileSystem } from './filesystem.ts'
import { OpenFlag } from './messages.ts'

const flagNames: readonly (readonly [number, string])[] = [
  [OpenFlag.read, 'READ'],
  [OpenFlag.write, 'WRITE'],
  [OpenFlag.append, 'APPEND'],
  [OpenFlag.create, 'CREATE'],
  [OpenFlag.truncate, 'TRUNCATE'],
  [OpenFlag.exclusive, 'EXCL'],
]

const quoted = (path: string): string => `"${sanitize(path, true)}"`

/**
 * The same files, and a line in the log for everything that is done to them, in the words of sftp-server(8): changes and
 * open files at level `info`, questions at `verbose`.
 */
export function loggingFileSystem(files: FileSystem, log: Log): FileSystem {
  if (!log.info) return files
  const told: Partial<FileSystem> = {
    async open(path, flags, attributes) {
      const names = flagNames.flatMap(([bit, name]) => (flags & bit ? [name] : [])).join(',')
      log.info?.(
        `open ${quoted(path)} flags ${names} mode 0${((attributes?.permissions ?? 0o666) & 0o7777).toString(8)}`,
      )
      return countingHandle(await files.open(path, flags, attributes), path, log)
    },
    async opendir(path) {
      log.info?.(`opendir ${quoted(path)}`)
      return tellingDirectory(await files.opendir(path), path, log)
    },
    stat(path) {
      log.verbose?.(`stat name ${quoted(path)}`)
      return files.stat(path)
    },
    lstat(path) {
      log.verbose?.(`lstat name ${quoted(path)}`)
      return files.lstat(path)
    },
    realpath(path) {
      log.verbose?.(`realpath ${quoted(path)}`)
      return files.realpath(path)
    },
    readlink(path) {
      log.verbose?.(`readlink ${quoted(path)}`)
      return files.readlink(path)
    },
    setstat(path, changes) {
      tellChanges(log, path, changes)
      return files.setstat(path, changes)
    },
    lsetstat(path, changes) {
      tellChanges(log, path, changes)
      return files.lsetstat(path, changes)
    },
    remove(path) {
      log.info?.(`remove name ${quoted(path)}`)
      return files.remove(path)
    },
    mkdir(path, attributes) {
      log.info?.(`mkdir name ${quoted(path)} mode 0${((attributes?.permissions ?? 0o777) & 0o7777).toString(8)}`)
      return files.mkdir(path, attributes)
    },
    rmdir(path) {
      log.info?.(`rmdir name ${quoted(path)}`)
      return files.rmdir(path)
    },
    rename(oldPath, newPath, overwrite) {
      log.info?.(`${overwrite ? 'posix-rename' : 'rename'} old ${quoted(oldPath)} new ${quoted(newPath)}`)
      return files.rename(oldPath, newPath, overwrite)
    },
    symlink(target, path) {
      log.info?.(`symlink old ${quoted(target)} new ${quoted(path)}`)
      return files.symlink(target, path)
    },
    link(existing, newPath) {
      log.info?.(`hardlink old ${quoted(existing)} new ${quoted(newPath)}`)
      return files.link(existing, newPath)
    },
  }
  return new Proxy(files, {
    get(target, name) {
      // Each call passes by here.
      if (name === 'openAtOnce') return undefined
      const own = told[name as keyof FileSystem]
      if (own) return own
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function tellChanges(log: Log, path: string, { size, permissions, mtime, uid, gid }: Attributes): void {
  const name = quoted(path)
  if (size !== undefined) log.info?.(`set ${name} size ${size}`)
  if (permissions !== undefined) log.info?.(`set ${name} mode ${permissions.toString(8).padStart(4, '0')}`)
  if (mtime !== undefined) log.info?.(`set ${name} modtime ${timestamp(mtime)}`)
  if (uid !== undefined && gid !== undefined) log.info?.(`set ${name} owner ${uid} group ${gid}`)
}

/** As sftp-server writes it: `20260102-03:04:05`, in UTC. */
const timestamp = (seconds: number): string => {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime())
    ? String(seconds)
    : date
        .toISOString()
        .replace(/-/g, '')
        .replace(/T(.*)\..*/, '-$1')
}

function countingHandle(file: FileHandle, path: string, log: Log): FileHandle {
  const counts = { read: 0, written: 0 }
  const told: Partial<FileHandle> = {
    async readAt(offset, length, into) {
      const data = await file.readAt(offset, length, into)
      counts.read += data.length
      return data
    },
    async writeAt(offset, data) {
      await file.writeAt(offset, data)
      counts.written += data.length
    },
    setstat(changes) {
      tellChanges(log, path, changes)
      return file.setstat(changes)
    },
    close() {
      log.info?.(`close ${quoted(path)} bytes read ${counts.read} written ${counts.written}`)
      return file.close()
    },
  }
  return new Proxy(file, {
    get(target, name) {
      if (typeof name === 'string' && name.endsWith('AtOnce')) return undefined
      const own = told[name as keyof FileHandle]
      if (own) return own
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const tellingDirectory = (directory: DirectoryHandle, path: string, log: Log): DirectoryHandle => ({
  read: () => directory.read(),
  close() {
    log.info?.(`closedir ${quoted(path)}`)
    return directory.close()
  },
})
