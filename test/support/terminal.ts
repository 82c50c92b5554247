import { PseudoTerminal } from '../../src/terminal/pseudo-terminal.ts'

/** A program on a pseudo-terminal of its own, with somebody who reads and types. */
export interface OnTerminal {
  readonly pid: number
  /** All that was shown so far. */
  shown(): string
  /** Waits until what is shown after the last match matches. @throws after half a minute, with what was shown */
  sees(pattern: RegExp): Promise<string>
  type(text: string): void
  resize(columns: number, rows: number): void
  readonly exit: Promise<number>
  kill(): void
}

const patience = 30_000

export function onTerminal(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): OnTerminal {
  let text = ''
  let seen = 0
  const watchers = new Set<() => void>()
  let ended: (status: number) => void
  const exit = new Promise<number>(resolve => {
    ended = resolve
  })
  const pty = new PseudoTerminal(
    [file, ...args],
    {
      directory: '/',
      // What draws screens draws none where CI says that nobody looks.
      environment: { ...process.env, CI: 'false', ...env, TERM: 'xterm' } as Record<string, string>,
      columns: 80,
      rows: 24,
    },
    {
      output(data) {
        text += data.toString('utf8')
        for (const watcher of watchers) watcher()
        return true
      },
      ended: status => ended(status),
    },
  )
  return {
    pid: pty.pid,
    shown: () => text,
    sees: pattern =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          watchers.delete(look)
          reject(new Error(`${pattern} was not seen in:\n${text.slice(seen)}`))
        }, patience)
        const look = (): void => {
          const match = pattern.exec(text.slice(seen))
          if (!match) return
          seen += match.index + match[0].length
          watchers.delete(look)
          clearTimeout(timer)
          resolve(match[0])
        }
        watchers.add(look)
        look()
      }),
    type: typed => pty.write(Buffer.from(typed), () => {}),
    resize: (columns, rows) => pty.resize(columns, rows),
    exit,
    kill() {
      try {
        process.kill(pty.pid, 'SIGKILL')
      } catch {
        // It is gone already.
      }
    },
  }
}
