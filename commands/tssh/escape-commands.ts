import type { Connection } from '../../lib/connection/connection.ts'
import type { Log } from '../../lib/log.ts'
import type { ForwardSort, Forwards } from '../../src/connect/forwards.ts'
import { type Endpoint, type Forward, parseForward } from '../../src/openssh/forwarding.ts'

/** What a line typed after `~C` asks for (ssh(1), ESCAPE CHARACTERS). */
export type EscapeCommand =
  | { readonly kind: 'nothing' | 'help' }
  | { readonly kind: 'local-command'; readonly command: string }
  | { readonly kind: 'forward'; readonly sort: ForwardSort; readonly forward: Forward }
  | { readonly kind: 'cancel'; readonly sort: ForwardSort; readonly listen: Endpoint }
  | { readonly kind: 'invalid'; readonly text: string }

const sorts: Readonly<Record<string, ForwardSort>> = { L: 'local', R: 'remote', D: 'dynamic' }

const invalid = (text: string): EscapeCommand => ({ kind: 'invalid', text })

/** Reads one line, with or without its `-`. `!` is a command only where PermitLocalCommand lets it be one. */
export function parseEscapeCommand(line: string, permitLocalCommand: boolean): EscapeCommand {
  const text = line.trimStart().replace(/^-/, '')
  if (text === '') return { kind: 'nothing' }
  if (/^[h?]/i.test(text)) return { kind: 'help' }
  if (text.startsWith('!') && permitLocalCommand) return { kind: 'local-command', command: text.slice(1) }
  const [, cancels, letter, spec = ''] = /^(K?)([LRD])\s*(.*)$/s.exec(text) ?? []
  const sort = sorts[letter ?? '']
  if (!sort) return invalid('Invalid command.')
  if (cancels) {
    const closed = parseForward(spec, 'dynamic')
    return closed ? { kind: 'cancel', sort, listen: closed.listen } : invalid('Bad forwarding close specification.')
  }
  const forward = parseForward(spec, sort)
  if (forward) return { kind: 'forward', sort, forward }
  return invalid(`Bad ${sort === 'remote' ? 'remote' : 'local'} forwarding specification.`)
}

const help: readonly (readonly [form: string, meaning: string])[] = [
  ['-L[bind_address:]port:host:hostport', 'Request local forward'],
  ['-R[bind_address:]port:host:hostport', 'Request remote forward'],
  ['-D[bind_address:]port', 'Request dynamic forward'],
  ['-KL[bind_address:]port', 'Cancel local forward'],
  ['-KR[bind_address:]port', 'Cancel remote forward'],
  ['-KD[bind_address:]port', 'Cancel dynamic forward'],
]

function* helpLines(permitLocalCommand: boolean): Generator<string> {
  yield 'Commands:'
  for (const [form, meaning] of help) yield `      ${form.padEnd(39)}${meaning}`
  if (permitLocalCommand) yield `      ${'!args'.padEnd(39)}Execute local command`
}

export interface EscapeCommandContext {
  readonly forwards: Forwards
  readonly connection: Connection
  readonly permitLocalCommand: boolean
  /** Runs a command by the user's shell, to its end. */
  readonly runLocal: (command: string) => Promise<void>
  readonly log: Log
}

/** Does what a line asks for, and says so as ssh does: at LogLevel INFO. */
export async function obeyEscapeCommand(line: string, context: EscapeCommandContext): Promise<void> {
  const { forwards, connection, permitLocalCommand, runLocal, log } = context
  const command = parseEscapeCommand(line, permitLocalCommand)
  switch (command.kind) {
    case 'nothing':
      break
    case 'help':
      for (const text of helpLines(permitLocalCommand)) log.info?.(text)
      break
    case 'local-command':
      if (command.command !== '') await runLocal(command.command)
      break
    case 'forward': {
      const isAdded = await forwards.add(command.sort, command.forward, connection)
      log.info?.(isAdded ? 'Forwarding port.' : 'Port forwarding failed.')
      break
    }
    case 'cancel': {
      const isCancelled = forwards.cancel(command.sort, command.listen, connection)
      log.info?.(isCancelled ? 'Canceled forwarding.' : 'Unknown port forwarding.')
      break
    }
    case 'invalid':
      log.info?.(command.text)
      break
  }
}
