import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { escapeName, unescapeName } from '../../lib/sftp/glob.ts'
import { joinPath } from '../../lib/sftp/paths.ts'
import { collect, entriesOf } from '../../lib/sftp/tree.ts'
import { isText } from '../../lib/wire/path.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { visible } from '../../src/terminal/names.ts'
import type { Context } from './context.ts'
import { verbs } from './verbs.ts'
import { splitLine } from './words.ts'

/** What could stand for the end of a line, and the part of the line that it replaces. */
export type Completion = [candidates: string[], replaced: string]

/** Most names that are looked at in a directory. */
const maximumNames = 10_000

/** Completes commands, and the names of files where a command takes them. Never rejects. */
export async function complete(context: Context, line: string): Promise<Completion> {
  const split = splitLine(line, true)
  if ('problem' in split) return [[], line]
  const { words, openQuote, lastStart } = split
  const isNew = lastStart === line.length && openQuote === ''
  if (words.length === 0 || (words.length === 1 && !isNew)) {
    const start = (words[0] ?? '').toLowerCase()
    const names = [...verbs.keys()].filter(name => name.startsWith(start) && /[a-z]/.test(name))
    return [names.map(name => `${name} `), isNew ? '' : line.slice(lastStart)]
  }
  const verb = verbs.get(words[0]!.toLowerCase())
  const operands = words.slice(1).filter(word => !word.startsWith('-')).length + (isNew ? 1 : 0)
  const place = verb?.complete[operands - 1] ?? 'none'
  if (place === 'none') return [[], line]
  const word = isNew ? '' : words.at(-1)!
  const files = place === 'remote' ? context.files : new LocalFileSystem()
  const base = place === 'remote' ? context.directory : ''
  try {
    return [await namesLike(files, base, word, openQuote), isNew ? '' : line.slice(lastStart)]
  } catch {
    return [[], line]
  }
}

async function namesLike(files: FileSystem, base: string, word: string, quote: string): Promise<string[]> {
  const slash = word.lastIndexOf('/')
  const [parent, start] = [word.slice(0, slash + 1), unescapeName(word.slice(slash + 1))]
  const directory = joinPath(base, unescapeName(parent)) || '.'
  const found: string[] = []
  for (const entry of (await collect(entriesOf(files, directory))).slice(0, maximumNames)) {
    // What cannot be typed back is not offered: bytes that are no text, and controls.
    if (!entry.name.startsWith(start) || !isText(entry.name) || visible(entry.name) !== entry.name) continue
    if (start === '' && entry.name.startsWith('.')) continue
    const { type } =
      entry.attributes.type === 'symlink' ? await followed(files, directory, entry.name) : entry.attributes
    const name = quoted(parent + escapeName(entry.name), quote)
    found.push(type === 'directory' ? `${name}/` : `${name}${quote} `)
  }
  return found.sort()
}

const followed = (files: FileSystem, directory: string, name: string) =>
  files.stat(joinPath(directory, name)).catch(() => ({ type: undefined }))

/** A word as it would be typed. */
function quoted(word: string, quote: string): string {
  if (quote === '') return word.replace(/(?<!\\)[ \t'"#]/g, '\\$&')
  return quote + word.replace(/\\([*?[])/g, '$1').replaceAll(quote, `\\${quote}`)
}
