import { Box, render, Text, useApp, useInput, useStdout } from 'ink'
import { useSyncExternalStore } from 'react'
import { sanitize } from '../../lib/errors.ts'
import type { Browser, Dialog, Entry, Pane, TransferRow } from './browser.ts'

/**
 * Shows two directories side by side on the terminal until the user leaves. The browser is told what to call when it
 * changes. It is made elsewhere: this file is built apart from the rest, and would have classes of its own (build.js).
 */
export async function browse(makeBrowser: (changed: () => void) => Browser): Promise<void> {
  let listener: () => void = () => {}
  const browser = makeBrowser(() => listener())
  const subscribe = (changed: () => void): (() => void) => {
    listener = changed
    return () => {
      listener = () => {}
    }
  }
  const { stdout } = process
  const leave = (): void => void stdout.write(mainScreen)
  const end = (): void => process.exit(1)
  // What lies outside of a smaller terminal stays there, wrapped, unless it is wiped before the next drawing.
  const wipe = (): void => void stdout.write(emptyScreen)
  stdout.write(`${otherScreen}${emptyScreen}`)
  stdout.prependListener('resize', wipe)
  process.once('exit', leave)
  for (const signal of endingSignals) process.once(signal, end)
  try {
    const screen = render(<Screen browser={browser} subscribe={subscribe} />, { exitOnCtrlC: false })
    await browser.start()
    await screen.waitUntilExit()
    browser.stop()
  } finally {
    stdout.off('resize', wipe)
    for (const signal of endingSignals) process.off(signal, end)
    process.off('exit', leave)
    leave()
  }
}

/** What a full-screen program does to a terminal of the kind of xterm: what was on it comes back at the end. */
const [otherScreen, mainScreen, emptyScreen] = ['\x1b[?1049h', '\x1b[?1049l', '\x1b[2J\x1b[H']
const endingSignals = ['SIGTERM', 'SIGHUP'] as const

/** Lines of the screen that are not those of the panes: two titles, frames, message. */
const otherLines = 5
const transferLines = 4

interface ScreenProperties {
  readonly browser: Browser
  subscribe(changed: () => void): () => void
}

function Screen({ browser, subscribe }: ScreenProperties) {
  const { exit } = useApp()
  const { columns, rows: lines } = useSize()
  const state = useSyncExternalStore(subscribe, () => browser.state)
  const rows = Math.max(4, lines - otherLines - (state.transfers.length > 0 ? transferLines : 0))
  const width = Math.floor(columns / 2)
  useInput((input, key) => {
    // Keys that were typed fast arrive together.
    for (const stroke of strokesOf(input, key)) {
      if (leaves(stroke, browser.state.dialog)) exit()
      else press(browser, stroke, rows)
    }
  })
  return (
    <Box flexDirection="column">
      {state.dialog.kind === 'view' ? (
        <Viewer dialog={state.dialog} rows={rows + 2} />
      ) : (
        <Box>
          {state.panes.map((pane, index) => (
            <PaneView
              key={index === 0 ? 'left' : 'right'}
              pane={pane}
              active={index === state.active}
              rows={rows}
              width={width}
            />
          ))}
        </Box>
      )}
      {state.transfers.slice(-transferLines).map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity
        <TransferLine key={index} row={row} />
      ))}
      <Footer dialog={state.dialog} message={state.message} />
    </Box>
  )
}

/** Columns and lines of the terminal, drawn again when they change. */
function useSize(): { columns: number; rows: number } {
  const { stdout } = useStdout()
  const subscribe = (changed: () => void): (() => void) => {
    stdout.on('resize', changed)
    return () => void stdout.off('resize', changed)
  }
  const size = useSyncExternalStore(subscribe, () => `${stdout.columns ?? 80} ${stdout.rows ?? 24}`)
  const [columns = 80, rows = 24] = size.split(' ').map(Number)
  return { columns, rows }
}

type KeyName =
  | 'quit'
  | 'up'
  | 'down'
  | 'page-up'
  | 'page-down'
  | 'first'
  | 'last'
  | 'enter'
  | 'back'
  | 'switch'
  | 'cancel'
  | 'erase'
  | 'text'

interface Key {
  readonly upArrow: boolean
  readonly downArrow: boolean
  readonly leftArrow: boolean
  readonly pageUp: boolean
  readonly pageDown: boolean
  readonly home: boolean
  readonly end: boolean
  readonly return: boolean
  readonly escape: boolean
  readonly tab: boolean
  readonly backspace: boolean
  readonly delete: boolean
  readonly ctrl: boolean
}

interface Stroke {
  readonly name: KeyName
  readonly input: string
}

const controls: Readonly<Record<string, KeyName>> = { '\r': 'enter', '\t': 'switch', '\x7f': 'erase', '\b': 'erase' }

function strokesOf(input: string, key: Key): Stroke[] {
  const name = keyName(input, key)
  if (name !== 'text') return [{ name, input }]
  return [...input].map(character => ({ name: controls[character] ?? 'text', input: character }))
}

const leaves = ({ name, input }: Stroke, dialog: Dialog): boolean =>
  name === 'quit' || (dialog.kind === 'none' && input === 'q' && name === 'text')

function keyName(input: string, key: Key): KeyName {
  if (key.upArrow) return 'up'
  if (key.downArrow) return 'down'
  if (key.pageUp) return 'page-up'
  if (key.pageDown) return 'page-down'
  if (key.home) return 'first'
  if (key.end) return 'last'
  if (key.return) return 'enter'
  if (key.escape) return 'cancel'
  if (key.tab) return 'switch'
  if (key.backspace || key.delete) return 'erase'
  if (key.leftArrow) return 'back'
  if (key.ctrl && input === 'c') return 'quit'
  return 'text'
}

/** Everything a key does, except leaving. */
function press(browser: Browser, { name, input }: Stroke, rows: number): void {
  const { dialog } = browser.state
  if (dialog.kind === 'prompt') {
    if (name === 'enter') void browser.confirm()
    else if (name === 'erase') browser.type(text => [...text].slice(0, -1).join(''))
    else if (name === 'text') browser.type(text => text + sanitize(input, true))
    else browser.dismiss()
  } else if (dialog.kind === 'confirm') {
    if (input === 'y') void browser.confirm()
    else browser.dismiss()
  } else if (name === 'up' || name === 'down') browser.move(name === 'up' ? -1 : 1)
  else if (name === 'page-up' || name === 'page-down') browser.move(name === 'page-up' ? -rows : rows)
  else if (name === 'first' || name === 'last') browser.move(name === 'first' ? -Infinity : Infinity)
  else if (dialog.kind !== 'none') browser.dismiss()
  else if (name === 'switch') browser.switchPane()
  else if (name === 'enter') void browser.open()
  else if (name === 'back' || name === 'erase') void browser.up()
  else commands[input]?.(browser)
}

/** The letters, as the help shows them. */
const commands: Readonly<Record<string, (browser: Browser) => void>> = {
  ' ': browser => browser.mark(),
  c: browser => void browser.copy(),
  d: browser => browser.ask('delete'),
  g: browser => browser.move(Number.NEGATIVE_INFINITY),
  G: browser => browser.move(Number.POSITIVE_INFINITY),
  j: browser => browser.move(1),
  k: browser => browser.move(-1),
  n: browser => browser.ask('mkdir'),
  r: browser => browser.ask('rename'),
  R: browser => void browser.refresh(),
  v: browser => void browser.view(),
  '?': browser => browser.help(),
}

const help =
  'Tab other side · Enter open · Backspace up · Space mark · c copy · v view · r rename · n new directory · d delete · R read again · q quit'

function PaneView({ pane, active, rows, width }: { pane: Pane; active: boolean; rows: number; width: number }) {
  const top = Math.max(0, Math.min(pane.cursor - Math.floor(rows / 2), pane.entries.length - rows))
  return (
    <Box
      flexDirection="column"
      borderStyle="single"
      borderColor={active ? 'cyan' : 'gray'}
      width={width}
      height={rows + 3}
    >
      <Text bold={active} wrap="truncate-start">
        {shown(`${pane.title}${pane.path}`)}
      </Text>
      {pane.entries.slice(top, top + rows).map((entry, index) => (
        <EntryLine
          key={entry.name}
          entry={entry}
          selected={active && top + index === pane.cursor}
          marked={pane.marked.has(entry.name)}
          width={width - 2}
        />
      ))}
    </Box>
  )
}

function EntryLine({
  entry,
  selected,
  marked,
  width,
}: {
  entry: Entry
  selected: boolean
  marked: boolean
  width: number
}) {
  const { type, size = 0 } = entry.attributes
  const suffix = type === 'directory' ? '/' : type === 'symlink' ? '@' : ''
  const amount = type === 'directory' ? '' : formatSize(size)
  return (
    <Box width={width} justifyContent="space-between">
      <Text
        inverse={selected}
        {...(marked ? { color: 'yellow' } : type === 'directory' ? { color: 'cyan' } : {})}
        wrap="truncate"
      >
        {`${marked ? '*' : ' '}${shown(entry.name)}${suffix}`}
      </Text>
      <Text dimColor>{amount}</Text>
    </Box>
  )
}

function Viewer({ dialog, rows }: { dialog: Extract<Dialog, { kind: 'view' }>; rows: number }) {
  const visible = dialog.lines.slice(dialog.top, dialog.top + rows)
  return (
    <Box flexDirection="column" height={rows + 1}>
      <Text inverse wrap="truncate">{`${shown(dialog.title)} · line ${dialog.top + 1} of ${dialog.lines.length}`}</Text>
      <Text wrap="truncate">{visible.join('\n')}</Text>
    </Box>
  )
}

function TransferLine({ row }: { row: TransferRow }) {
  const percent = row.state === 'done' ? 100 : row.size > 0 ? Math.floor((row.bytes / row.size) * 100) : 0
  const color = row.state === 'failed' ? 'red' : row.state === 'done' ? 'green' : 'yellow'
  return (
    <Text color={color} wrap="truncate">
      {`${row.state === 'failed' ? 'failed' : `${String(percent).padStart(3)}% ${formatSize(row.bytes).padStart(8)}`}  ${shown(row.name)}`}
    </Text>
  )
}

function Footer({ dialog, message }: { dialog: Dialog; message: string }) {
  switch (dialog.kind) {
    case 'prompt':
      return <Text>{`${dialog.action === 'mkdir' ? 'New directory' : 'New name'}: ${dialog.text}█`}</Text>
    case 'confirm': {
      const names = shown(dialog.names.join(', '))
      return (
        <Text
          color="red"
          wrap="truncate"
        >{`${dialog.action === 'delete' ? 'Delete' : 'Overwrite'} ${names}? (y/n)`}</Text>
      )
    }
    case 'help':
      return <Text wrap="wrap">{help}</Text>
    case 'view':
      return <Text dimColor>any letter goes back</Text>
    default:
      return (
        <Text dimColor wrap="truncate">
          {message}
        </Text>
      )
  }
}

/** A name that a terminal cannot obey; bytes that are no UTF-8 show as `?`. */
const shown = (name: string): string => sanitize(name, true).replace(/\p{Surrogate}/gu, '?')

const units = ['', 'K', 'M', 'G', 'T', 'P']

/** Bytes with three digits and a unit. */
function formatSize(bytes: number): string {
  let size = bytes
  let unit = 0
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024
    unit++
  }
  return `${unit > 0 && size < 10 ? size.toFixed(1) : Math.round(size)}${units[unit]}`
}
