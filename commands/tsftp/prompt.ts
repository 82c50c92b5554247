import { createInterface, type Interface } from 'node:readline'
import { complete } from './completion.ts'
import type { Context } from './context.ts'

const historySize = 100

/** Lines that a person types, with history and completion. The terminal is the commands' while one runs. */
export class Prompt {
  readonly #editor: Interface
  readonly #lines: string[] = []
  #waiting: ((line: string | undefined) => void) | undefined
  #state: 'open' | 'ended' = 'open'

  constructor(context: Context) {
    this.#editor = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: 'sftp> ',
      historySize,
      removeHistoryDuplicates: false,
      completer: (line: string, answer: (error: null, result: [string[], string]) => void) => {
        void complete(context, line).then(result => answer(null, result))
      },
    })
    this.#editor.on('line', line => {
      if (this.#waiting) this.#answer(line)
      else this.#lines.push(line)
    })
    this.#editor.on('SIGINT', () => {
      // The line is given up, and the next one begins.
      process.stdout.write('\n')
      this.#clear()
      if (this.#waiting) this.#editor.prompt()
    })
    this.#editor.on('close', () => {
      this.#state = 'ended'
      if (!this.#waiting) return
      process.stdout.write('\n')
      this.#answer(undefined)
    })
  }

  /** The next line; undefined at the end of the input. */
  next(): Promise<string | undefined> {
    const line = this.#lines.shift()
    if (line !== undefined) return Promise.resolve(line)
    if (this.#state === 'ended') return Promise.resolve(undefined)
    return new Promise(resolve => {
      this.#waiting = resolve
      process.stdin.setRawMode(true)
      this.#editor.resume()
      this.#editor.prompt()
    })
  }

  #answer(line: string | undefined): void {
    const resolve = this.#waiting
    this.#waiting = undefined
    if (this.#state === 'open') {
      // Ctrl-C is a signal again, and a shell finds the terminal as it left it.
      this.#editor.pause()
      process.stdin.setRawMode(false)
    }
    resolve?.(line)
  }

  /** Empties the line that is being typed. */
  #clear(): void {
    this.#editor.write(null, { ctrl: true, name: 'e' })
    this.#editor.write(null, { ctrl: true, name: 'u' })
  }

  close(): void {
    if (this.#state === 'open') this.#editor.close()
  }
}
