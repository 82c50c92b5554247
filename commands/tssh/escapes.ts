/** What an escape sequence asks for (ssh(1), ESCAPE CHARACTERS). */
export type EscapeAction =
  | 'disconnect'
  | 'suspend'
  | 'help'
  | 'break'
  | 'rekey'
  | 'info'
  | 'list'
  | 'command-line'
  | 'background'
  | 'more-verbose'
  | 'less-verbose'

export type EscapeEvent =
  | { readonly kind: 'data'; readonly data: Buffer }
  | { readonly kind: 'action'; readonly action: EscapeAction }

interface EscapeRow {
  readonly key: string
  /** How `~?` shows it. */
  readonly shown: string
  readonly action: EscapeAction
  readonly help: string
}

/** One row per escape: recognition and the help text follow from it. */
export const escapeTable: readonly EscapeRow[] = [
  { key: '.', shown: '.', action: 'disconnect', help: 'end the connection, with every session on it' },
  { key: 'B', shown: 'B', action: 'break', help: 'send a BREAK to the remote system' },
  { key: 'C', shown: 'C', action: 'command-line', help: 'open a command line' },
  { key: 'R', shown: 'R', action: 'rekey', help: 'exchange new keys' },
  { key: 'I', shown: 'I', action: 'info', help: 'show facts about this connection' },
  { key: '\x1a', shown: '^Z', action: 'suspend', help: 'suspend tssh' },
  { key: '#', shown: '#', action: 'list', help: 'list the open channels' },
  { key: '&', shown: '&', action: 'background', help: 'go to the background once the last session ended' },
  { key: 'V', shown: 'V/v', action: 'less-verbose', help: 'log less, or more' },
  { key: 'v', shown: '', action: 'more-verbose', help: '' },
  { key: '?', shown: '?', action: 'help', help: 'show this list' },
]

/**
 * Splits what is typed into data and escapes. An escape is the escape character after a newline (or at the start) and
 * one more key; the escape character twice sends it once.
 */
export class EscapeFilter {
  private readonly escape: number
  private state: 'line-start' | 'in-line' | 'escape' = 'line-start'

  /** @param character the byte of the escape character (EscapeChar, `-e`) */
  constructor(character: number) {
    this.escape = character
  }

  /** @returns events in order; data events never hold an escape sequence. */
  push(input: Buffer): EscapeEvent[] {
    const events: EscapeEvent[] = []
    let pending: number[] = []
    const flush = () => {
      if (pending.length > 0) events.push({ kind: 'data', data: Buffer.from(pending) })
      pending = []
    }
    for (const byte of input) {
      if (this.state === 'escape') {
        const row = escapeTable.find(({ key }) => key.charCodeAt(0) === byte)
        this.state = 'in-line'
        if (row) {
          flush()
          events.push({ kind: 'action', action: row.action })
          this.state = 'line-start'
          continue
        }
        pending.push(this.escape)
        if (byte === this.escape) continue
      } else if (this.state === 'line-start' && byte === this.escape) {
        this.state = 'escape'
        continue
      }
      pending.push(byte)
      this.state = byte === 0x0a || byte === 0x0d ? 'line-start' : 'in-line'
    }
    flush()
    return events
  }
}

/** The escape character in words, as ssh shows it: `~`, `^]`. */
export const escapeName = (character: number): string =>
  character < 0x20 ? `^${String.fromCharCode(character + 0x40)}` : String.fromCharCode(character)

/** The text of `~?`. */
export function escapeHelp(character: number): string {
  const name = escapeName(character)
  const rows = escapeTable.filter(({ shown }) => shown).map(({ shown, help }) => ` ${name}${shown.padEnd(4)} - ${help}`)
  return [
    'Supported escape sequences:',
    ...rows,
    ` ${name}${name.padEnd(4)} - send the escape character by typing it twice`,
    '(Escapes are only recognized right after a newline.)',
    '',
  ].join('\r\n')
}
