import { messageOf, sanitize } from '../../lib/errors.ts'
import type { Attributes } from '../../lib/sftp/attributes.ts'
import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { baseName, directoryName, joinPath } from '../../lib/sftp/paths.ts'
import { transfer } from '../../lib/sftp/transfer.ts'
import { attributesOrNothing, collect, entriesOf, removeTree } from '../../lib/sftp/tree.ts'

/** Two directories side by side, and what can be done between them. It knows no terminal: a screen shows its state. */

export interface Entry {
  readonly name: string
  readonly attributes: Attributes
}

export interface Pane {
  readonly title: string
  readonly files: FileSystem
  readonly path: string
  /** `..` first, then directories, then the rest, each by name. */
  readonly entries: readonly Entry[]
  readonly cursor: number
  readonly marked: ReadonlySet<string>
}

export type PaneIndex = 0 | 1

/** What the keys go to, other than the panes. */
export type Dialog =
  | { readonly kind: 'none' | 'help' }
  | { readonly kind: 'prompt'; readonly action: 'rename' | 'mkdir'; readonly text: string }
  | { readonly kind: 'confirm'; readonly action: 'delete' | 'overwrite'; readonly names: readonly string[] }
  | { readonly kind: 'view'; readonly title: string; readonly lines: readonly string[]; readonly top: number }

export interface TransferRow {
  readonly name: string
  readonly bytes: number
  readonly size: number
  readonly state: 'running' | 'done' | 'failed'
}

export interface BrowserState {
  readonly panes: readonly [Pane, Pane]
  readonly active: PaneIndex
  readonly dialog: Dialog
  /** The newest last. */
  readonly transfers: readonly TransferRow[]
  /** What went wrong or was done last. */
  readonly message: string
}

export interface Place {
  readonly title: string
  readonly files: FileSystem
  readonly path: string
}

/** Bytes of a file that are shown. */
const viewedBytes = 256 * 1024
/** Finished transfers that stay on the list. */
const keptTransfers = 50

export class Browser {
  #state: BrowserState
  readonly #changed: () => void
  readonly #cancel = new AbortController()
  #running = 0

  /** `changed` is called after each change of the state. */
  constructor(left: Place, right: Place, changed: () => void) {
    const pane = (place: Place): Pane => ({ ...place, entries: [], cursor: 0, marked: new Set() })
    this.#state = {
      panes: [pane(left), pane(right)],
      active: 0,
      dialog: { kind: 'none' },
      transfers: [],
      message: '? for help',
    }
    this.#changed = changed
  }

  get state(): BrowserState {
    return this.#state
  }

  /** Transfers under way. */
  get running(): number {
    return this.#running
  }

  /** Reads both directories. */
  async start(): Promise<void> {
    await Promise.all([this.#read(0, this.#pane(0).path), this.#read(1, this.#pane(1).path)])
  }

  /** Ends transfers under way; files that are not whole do not stay. */
  stop(): void {
    this.#cancel.abort()
  }

  #set(changes: Partial<BrowserState>): void {
    this.#state = { ...this.#state, ...changes }
    this.#changed()
  }

  #pane(index: PaneIndex = this.#state.active): Pane {
    return this.#state.panes[index]
  }

  #setPane(index: PaneIndex, changes: Partial<Pane>): void {
    const [left, right] = this.#state.panes
    this.#set({ panes: index === 0 ? [{ ...left, ...changes }, right] : [left, { ...right, ...changes }] })
  }

  /** Runs an action; what it throws becomes the message. */
  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      this.#set({ message: sanitize(messageOf(error), true) })
    }
  }

  async #read(index: PaneIndex, path: string, select?: string): Promise<void> {
    await this.#attempt(async () => {
      const { files } = this.#pane(index)
      const real = await files.realpath(path)
      const entries = await readEntries(files, real)
      const found = select === undefined ? -1 : entries.findIndex(({ name }) => name === select)
      const { path: before, cursor } = this.#pane(index)
      const kept = before === real ? Math.min(cursor, entries.length - 1) : 0
      this.#setPane(index, { path: real, entries, cursor: found >= 0 ? found : kept, marked: new Set() })
    })
  }

  switchPane(): void {
    this.#set({ active: this.#state.active === 0 ? 1 : 0 })
  }

  /** Moves the cursor, or what is viewed, by so many lines. */
  move(lines: number): void {
    const { dialog } = this.#state
    if (dialog.kind === 'view') {
      const top = Math.max(0, Math.min(dialog.top + lines, dialog.lines.length - 1))
      this.#set({ dialog: { ...dialog, top } })
      return
    }
    const { entries, cursor } = this.#pane()
    this.#setPane(this.#state.active, { cursor: Math.max(0, Math.min(cursor + lines, entries.length - 1)) })
  }

  mark(): void {
    const { entries, cursor, marked } = this.#pane()
    const name = entries[cursor]?.name
    if (name !== undefined && name !== '..') {
      const names = new Set(marked)
      if (!names.delete(name)) names.add(name)
      this.#setPane(this.#state.active, { marked: names })
    }
    this.move(1)
  }

  /** Enters a directory, or shows a file. */
  async open(): Promise<void> {
    const { path, entries, cursor, files } = this.#pane()
    const entry = entries[cursor]
    if (!entry) return
    if (entry.name === '..') return this.up()
    const at = joinPath(path, entry.name)
    const type =
      entry.attributes.type === 'symlink'
        ? (await attributesOrNothing(() => files.stat(at)))?.type
        : entry.attributes.type
    if (type === 'directory') return this.#read(this.#state.active, at)
    await this.view()
  }

  async up(): Promise<void> {
    const { path } = this.#pane()
    await this.#read(this.#state.active, directoryName(path), baseName(path))
  }

  async refresh(): Promise<void> {
    await this.start()
  }

  async view(): Promise<void> {
    const { path, entries, cursor, files } = this.#pane()
    const entry = entries[cursor]
    if (!entry || entry.attributes.type === 'directory') return
    await this.#attempt(async () => {
      const file = await files.open(joinPath(path, entry.name), OpenFlag.read)
      try {
        const parts: Buffer[] = []
        for (let at = 0; at < viewedBytes; at += parts.at(-1)!.length) {
          const part = await file.readAt(at, viewedBytes - at)
          if (part.length === 0) break
          parts.push(part)
        }
        const lines = textLines(Buffer.concat(parts))
        this.#set({ dialog: { kind: 'view', title: entry.name, lines, top: 0 } })
      } finally {
        await file.close()
      }
    })
  }

  ask(action: 'rename' | 'mkdir' | 'delete'): void {
    const names = this.#chosen()
    if (action === 'mkdir') this.#set({ dialog: { kind: 'prompt', action, text: '' } })
    else if (names.length === 0) this.#set({ message: 'nothing is chosen' })
    else if (action === 'rename') this.#set({ dialog: { kind: 'prompt', action, text: names[0]! } })
    else this.#set({ dialog: { kind: 'confirm', action, names } })
  }

  help(): void {
    this.#set({ dialog: { kind: 'help' } })
  }

  /** Puts a dialog away without doing anything. */
  dismiss(): void {
    this.#set({ dialog: { kind: 'none' } })
  }

  /** Changes the text of a prompt. */
  type(change: (text: string) => string): void {
    const { dialog } = this.#state
    if (dialog.kind === 'prompt') this.#set({ dialog: { ...dialog, text: change(dialog.text) } })
  }

  /** Does what the dialog asks about. */
  async confirm(): Promise<void> {
    const { dialog } = this.#state
    this.dismiss()
    if (dialog.kind === 'prompt') await this.#answerPrompt(dialog.action, dialog.text)
    else if (dialog.kind === 'confirm' && dialog.action === 'delete') await this.#remove(dialog.names)
    else if (dialog.kind === 'confirm') await this.#copy(dialog.names)
  }

  async #answerPrompt(action: 'rename' | 'mkdir', name: string): Promise<void> {
    const { files, path } = this.#pane()
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      this.#set({ message: 'that is no name for a file' })
      return
    }
    await this.#attempt(() =>
      action === 'mkdir'
        ? files.mkdir(joinPath(path, name))
        : files.rename(joinPath(path, this.#chosen()[0]!), joinPath(path, name)),
    )
    await this.#read(this.#state.active, path, name)
  }

  async #remove(names: readonly string[]): Promise<void> {
    const { files, path, entries } = this.#pane()
    for (const name of names) {
      await this.#attempt(async () => {
        const type = entries.find(entry => entry.name === name)?.attributes.type
        if (type === 'directory') await removeTree(files, joinPath(path, name))
        else await files.remove(joinPath(path, name))
      })
    }
    await this.#read(this.#state.active, path)
  }

  /** Copies what is chosen into the other pane's directory; asks first when something is there already. */
  async copy(): Promise<void> {
    const names = this.#chosen()
    if (names.length === 0) {
      this.#set({ message: 'nothing is chosen' })
      return
    }
    const other = this.#pane(this.#state.active === 0 ? 1 : 0)
    const there = new Set(other.entries.map(({ name }) => name))
    if (names.some(name => there.has(name))) this.#set({ dialog: { kind: 'confirm', action: 'overwrite', names } })
    else await this.#copy(names)
  }

  async #copy(names: readonly string[]): Promise<void> {
    const index = this.#state.active
    const to = index === 0 ? 1 : 0
    const [from, into] = [this.#pane(index), this.#pane(to)]
    this.#setPane(index, { marked: new Set() })
    this.#running++
    let failed = ''
    for (const name of names) {
      const report = await transfer(
        { files: from.files, path: joinPath(from.path, name) },
        { files: into.files, path: joinPath(into.path, name) },
        {
          recurse: true,
          preserve: true,
          links: 'copy',
          atomic: true,
          signal: this.#cancel.signal,
          observer: {
            progress: file => this.#row(file.source, { bytes: file.bytes, size: file.size, state: 'running' }),
            done: file => this.#row(file.source, { bytes: file.bytes, size: file.bytes, state: 'done' }),
            failed: failure => this.#row(failure.source, { bytes: 0, size: 0, state: 'failed' }),
          },
        },
      )
      failed ||= report.failures[0]?.message ?? ''
    }
    this.#running--
    if (failed) this.#set({ message: sanitize(failed, true) })
    if (this.#pane(to).path === into.path) await this.#read(to, into.path)
  }

  #row(path: string, changes: Omit<TransferRow, 'name'>): void {
    const name = baseName(path)
    const rows = [...this.#state.transfers]
    const at = rows.findLastIndex(row => row.name === name && row.state === 'running')
    if (at >= 0) rows[at] = { name, ...changes }
    else rows.push({ name, ...changes })
    this.#set({ transfers: rows.slice(-keptTransfers) })
  }

  /** The marked names, or that under the cursor. */
  #chosen(): string[] {
    const { entries, cursor, marked } = this.#pane()
    if (marked.size > 0) return [...marked]
    const name = entries[cursor]?.name
    return name === undefined || name === '..' ? [] : [name]
  }
}

async function readEntries(files: FileSystem, path: string): Promise<Entry[]> {
  const entries = await collect(entriesOf(files, path))
  const rank = ({ attributes }: Entry): number => (attributes.type === 'directory' ? 0 : 1)
  entries.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
  return path === '/' ? entries : [{ name: '..', attributes: { type: 'directory' } }, ...entries]
}

/** Lines of text, or of hexadecimal where the bytes are no text. */
function textLines(data: Buffer): string[] {
  if (!data.subarray(0, 8192).includes(0)) {
    return data
      .toString('utf8')
      .split(/\r?\n/)
      .map(line => sanitize(line.replaceAll('\t', '    '), true))
  }
  const lines: string[] = []
  for (let at = 0; at < data.length; at += 16) {
    const row = data.subarray(at, at + 16)
    const hex = [...row].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
    const text = row.toString('latin1').replace(/[^ -~]/g, '.')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  return lines
}
