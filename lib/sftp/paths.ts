import { SftpError } from './status.ts'

/** `/`-separated paths as SFTP has them: text rules only, no file is looked at. */

/** `name` seen from `directory`; an absolute name stands for itself. */
export function joinPath(directory: string, name: string): string {
  if (directory === '' || name.startsWith('/')) return name
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`
}

/** The last component; empty for `/`. */
export function baseName(path: string): string {
  const trimmed = trimSlashes(path)
  return trimmed.slice(trimmed.lastIndexOf('/') + 1)
}

/** All but the last component: `.` or `/` when nothing is left. */
export function directoryName(path: string): string {
  const trimmed = trimSlashes(path)
  const slash = trimmed.lastIndexOf('/')
  if (slash < 0) return trimmed === '' && path.startsWith('/') ? '/' : '.'
  return trimSlashes(trimmed.slice(0, slash)) || '/'
}

const trimSlashes = (path: string): string => {
  let end = path.length
  while (end > 0 && path[end - 1] === '/') end--
  return path.slice(0, end)
}

/** An absolute path without `.`, `..` and empty components; `..` stops at the root. */
export function normalizePath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** Whether a name from a directory listing can be only what it seems: one component of a path. */
export const isPlainName = (name: string): boolean =>
  name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')

/** Refuses NUL, at which a system would cut the path. @throws SftpError invalid-filename */
export function checkPath(path: string): string {
  if (path.includes('\0')) throw new SftpError('invalid-filename', { message: 'path with a NUL byte' })
  return path
}
