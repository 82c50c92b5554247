import type { Attributes } from './attributes.ts'
import type { FileSystem } from './filesystem.ts'
import { OpenFlag } from './messages.ts'
import { joinPath } from './paths.ts'
import { createFilter, type Rule } from './rules.ts'
import type { SftpError } from './status.ts'
import { commonPrefix } from './transfer/resume.ts'
import {
  type TransferEnd,
  type TransferObserver,
  type TransferOptions,
  type TransferReport,
  transfer,
} from './transfer.ts'
import { attributesOrNothing, eachOf, removeTree, walk } from './tree.ts'

/** Makes one tree like another: copies what differs, and removes the rest if asked. */

export interface SyncOptions
  extends Pick<TransferOptions, 'maximumFiles' | 'maximumRequests' | 'blockSize' | 'rate' | 'signal' | 'retry'> {
  /** What a file must share to be left alone: size and modification time (default), or size and contents. */
  readonly compare?: 'times' | 'contents'
  /** Remove what only the target has. What the rules exclude stays. */
  readonly remove?: boolean
  /** The first that matches says whether a file takes part. */
  readonly rules?: readonly Rule[]
  readonly observer?: SyncObserver
}

export interface SyncObserver extends TransferObserver {
  removed?(path: string): void
  /** Something could not be removed. */
  notRemoved?(path: string, error: SftpError): void
}

/** What there is to do. Paths are below the roots, `''` the root itself. */
export interface SyncPlan {
  /** Files and links to copy, in the order of their paths. */
  readonly copy: readonly string[]
  /** Directories that the target lacks. */
  readonly make: readonly string[]
  /** Things that only the target has, or that are of another type there; of a tree only its top. */
  readonly remove: readonly string[]
  /** Of `copy`. */
  readonly bytes: number
}

export interface SyncReport extends TransferReport {
  readonly removed: number
  /** Removals that failed. */
  readonly kept: number
}

type Tree = Map<string, Attributes>

/** Files whose contents are compared at once. */
const comparisons = 4
const comparedBlock = 256 * 1024

/** Looks at both trees. @throws SftpError when the source, or a directory of either, cannot be read */
export async function planSync(source: TransferEnd, target: TransferEnd, options: SyncOptions = {}): Promise<SyncPlan> {
  const wanted = createFilter(options.rules ?? [])
  const root = await source.files.stat(source.path)
  const [there, here] = await Promise.all([readTree(source, root, wanted), existingTree(target, wanted)])
  const copy: string[] = []
  const make: string[] = []
  const inTheWay = new Set<string>()
  let bytes = 0
  await eachOf([...there].sort(byPath), comparisons, async ([path, attributes]) => {
    const old = here.get(path)
    const changed = !old || !(await isSame(source, target, path, attributes, old, options))
    if (attributes.type === 'directory') {
      if (changed) make.push(path)
    } else if (changed) {
      copy.push(path)
      bytes += attributes.size ?? 0
    }
    // A file takes the place of another one, or of a link, in one step; nothing else does.
    const replaces =
      old && (old.type === 'directory') === (attributes.type === 'directory') && attributes.type !== 'symlink'
    if (old && !replaces && changed) inTheWay.add(path)
  })
  const extra = options.remove ? [...here.keys()].filter(path => path !== '' && !there.has(path)) : []
  return { copy: copy.sort(), make: make.sort(), remove: topmost([...extra, ...inTheWay]), bytes }
}

const below = (root: string, path: string): string => (path === '' ? root : joinPath(root, path))

const byPath = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1)

/** Paths without those that lie below another one of them. */
function topmost(paths: readonly string[]): string[] {
  const kept = new Set<string>()
  for (const path of [...paths].sort()) {
    let above = path
    while (above !== '' && !kept.has(above)) above = above.slice(0, Math.max(above.lastIndexOf('/'), 0))
    if (above === '') kept.add(path)
  }
  return [...kept]
}

async function existingTree(target: TransferEnd, wanted: ReturnType<typeof createFilter>): Promise<Tree> {
  const root = await attributesOrNothing(() => target.files.stat(target.path))
  return root ? readTree(target, root, wanted) : new Map()
}

/** All that takes part, by its path below the root. Links are not followed. */
async function readTree(
  { files, path: root }: TransferEnd,
  attributes: Attributes,
  wanted: ReturnType<typeof createFilter>,
): Promise<Tree> {
  const tree: Tree = new Map([['', attributes]])
  if (attributes.type !== 'directory') return tree
  for await (const found of walk(files, root)) {
    const inside = found.path === root ? '' : found.path.slice(root.length + (root.endsWith('/') ? 0 : 1))
    for (const { name, attributes } of [...found.directories, ...found.files]) {
      const path = joinPath(inside, name)
      if (wanted(path, attributes.type === 'directory')) tree.set(path, attributes)
    }
    // What is below an excluded directory is excluded.
    found.directories.splice(0, Infinity, ...found.directories.filter(({ name }) => tree.has(joinPath(inside, name))))
  }
  return tree
}

async function isSame(
  source: TransferEnd,
  target: TransferEnd,
  path: string,
  a: Attributes,
  b: Attributes,
  { compare = 'times' }: SyncOptions,
): Promise<boolean> {
  if (a.type !== b.type) return false
  if (a.type === 'directory') return true
  const [from, to] = [below(source.path, path), below(target.path, path)]
  if (a.type === 'symlink') return (await source.files.readlink(from)) === (await target.files.readlink(to))
  if (a.size !== b.size) return false
  if (compare === 'times') return a.mtime === b.mtime
  return sameContents(source.files, from, target.files, to, a.size ?? 0)
}

async function sameContents(a: FileSystem, from: string, b: FileSystem, to: string, size: number): Promise<boolean> {
  const one = await a.open(from, OpenFlag.read)
  try {
    const other = await b.open(to, OpenFlag.read)
    try {
      return (await commonPrefix(one, other, size, comparedBlock)) === size
    } finally {
      await other.close()
    }
  } finally {
    await one.close()
  }
}

/**
 * Does what a plan says: removes first what is in the way, copies with times, modes and links, each file under a temporary
 * name until it is whole, and then removes what is too much. Failures of single files are in the report.
 */
export async function applySync(
  source: TransferEnd,
  target: TransferEnd,
  plan: SyncPlan,
  options: SyncOptions = {},
): Promise<SyncReport> {
  const { observer } = options
  let removed = 0
  let kept = 0
  const wanted = new Set([...plan.copy, ...plan.make].flatMap(withParents))
  const remove = (path: string): Promise<void> =>
    removeAny(target.files, below(target.path, path)).then(
      () => {
        removed++
        observer?.removed?.(path)
      },
      error => {
        kept++
        observer?.notRemoved?.(path, error)
      },
    )
  await eachOf(
    plan.remove.filter(path => wanted.has(path)),
    comparisons,
    remove,
  )
  const report =
    wanted.size === 0
      ? nothing
      : await transfer(source, target, {
          ...options,
          recurse: true,
          preserve: true,
          links: 'copy',
          atomic: true,
          filter: path => wanted.has(path),
        })
  // With a copy that did not end, the old files may be the only ones.
  if (report.end === 'complete')
    await eachOf(
      plan.remove.filter(path => !wanted.has(path)),
      comparisons,
      remove,
    )
  return { ...report, removed, kept }
}

const nothing: TransferReport = {
  files: 0,
  directories: 0,
  links: 0,
  skipped: 0,
  bytes: 0,
  failures: [],
  left: 0,
  end: 'complete',
}

/** `a/b/c`, `a/b`, `a`: a tree is walked from the top. */
function withParents(path: string): string[] {
  const all = [path]
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) all.push(path.slice(0, at))
  return all
}

async function removeAny(files: FileSystem, path: string): Promise<void> {
  const { type } = await files.lstat(path)
  if (type !== 'directory') return files.remove(path)
  await removeTree(files, path)
}
