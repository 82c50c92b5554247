import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

/** Which names a tree has: those that every program can say, or all that a file system allows. */
export type Wildness = 'tame' | 'wild'

/** Makes a directory of files of many sizes, permissions and names, links and empty directories. */
export function makeTree(root: string, wildness: Wildness, files = 120): void {
  const at = (name: string): string => join(root, name)
  mkdirSync(at('sub/deeper'), { recursive: true })
  mkdirSync(at('empty'))
  mkdirSync(at('space in it'))
  const names = ['plain', 'with space', '-dash', 'caf\u00e9 \u6587', 'n'.repeat(255), '.hidden', 'nothing']
  if (wildness === 'wild') names.push('new\nline', 'esc\x1b[31m', 'st*r', 'q?[a]', 'quo"te\'', 'back\\slash')
  for (const [index, name] of names.entries()) {
    writeFileSync(at(name), name === 'nothing' ? '' : randomBytes(index * 1000 + 1), { mode: 0o640 })
    utimesSync(at(name), 1_500_000_000 + index, 1_600_000_000 + index)
  }
  if (wildness === 'wild') writeFileSync(Buffer.concat([Buffer.from(at('bytes')), Buffer.of(0xff, 0x80)]), 'q')
  for (let index = 0; index < files; index++) {
    writeFileSync(at(`sub/deeper/${index}`), randomBytes(index * 37))
    chmodSync(at(`sub/deeper/${index}`), [0o644, 0o755, 0o600, 0o444][index % 4]!)
  }
  writeFileSync(at('large'), randomBytes(3_000_001))
  const descriptor = openSync(at('sparse'), 'w')
  writeSync(descriptor, randomBytes(5000), 0, 5000, 0)
  writeSync(descriptor, randomBytes(5000), 0, 5000, 20_000_000)
  closeSync(descriptor)
  truncateSync(at('sparse'), 30_000_000)
}

export function addLinks(root: string): void {
  symlinkSync('plain', join(root, 'link'))
  symlinkSync('..', join(root, 'sub/loop'))
  symlinkSync('nowhere', join(root, 'broken'))
}

/** What is in a tree: for each file its hash, and what `more` asks find(1) for (`%m`: mode, `%T@`: time). */
export function pictureOf(root: string, more = ''): string[] {
  const script = `find . -type d -printf 'd %P ${more.includes('%m') ? '%m' : ''}\\0' -o -type l -printf 'l %P %l\\0' -o -printf 'f %P ${more}\\0' | LC_ALL=C sort -z; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z`
  return execFileSync('bash', ['-c', script], { cwd: root, encoding: 'latin1', maxBuffer: 1 << 26 }).split('\0')
}

/** Blocks that a file takes on the disk, in KiB. */
export const diskUsage = (path: string): number =>
  Number(execFileSync('du', ['-k', path], { encoding: 'utf8' }).split('\t')[0])
