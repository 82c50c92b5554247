import { closeSync, openSync } from 'node:fs'
import { ReadStream, WriteStream } from 'node:tty'

/** Longest answer, in bytes; what is typed past it is dropped. */
const answerLimit = 1024

/**
 * Asks on the controlling terminal, so that questions work while stdin and stdout are pipes.
 * @returns undefined when there is no terminal, or the user ended the input (Ctrl-D on an empty line).
 * Ctrl-C ends the process as the signal would, or with `interrupt: 'answer'` the input.
 */
export async function askTerminal(
  question: string,
  { echo, interrupt = 'signal' }: { echo: boolean; interrupt?: 'signal' | 'answer' },
): Promise<string | undefined> {
  const fd = openTerminal()
  if (fd === undefined) return undefined
  const input = new ReadStream(fd)
  const output = new WriteStream(openSync('/dev/tty', 'w'))
  try {
    // In this order: what is typed as soon as the question is seen must not be shown.
    input.setRawMode(true)
    output.write(question.replace(/\n/g, '\r\n'))
    return await readLine(input, text => output.write(text), echo, interrupt)
  } finally {
    if (!input.destroyed) input.setRawMode(false)
    input.destroy()
    output.destroy()
  }
}

/** Whether questions can be asked at all. */
export function hasTerminal(): boolean {
  const fd = openTerminal()
  if (fd !== undefined) closeSync(fd)
  return fd !== undefined
}

function openTerminal(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined
  }
}

/** A line with the editing keys of a cooked terminal: erase, kill, interrupt, end of file. */
function readLine(
  input: ReadStream,
  print: (text: string | Uint8Array) => void,
  echo: boolean,
  interrupt: 'signal' | 'answer',
): Promise<string | undefined> {
  return new Promise(resolve => {
    let line = Buffer.alloc(answerLimit)
    let length = 0
    const finish = (answer: string | undefined) => {
      input.off('data', onData)
      print('\r\n')
      line.fill(0)
      line = Buffer.alloc(0)
      resolve(answer)
    }
    const erase = () => {
      if (length === 0) return
      // A UTF-8 character goes as a whole.
      do length--
      while (length > 0 && (line[length]! & 0xc0) === 0x80)
      if (echo) print('\b \b')
    }
    const onData = (data: Buffer) => {
      for (const byte of data) {
        if (byte === 0x0a || byte === 0x0d) return finish(line.toString('utf8', 0, length))
        if (byte === 0x03) {
          // The signal may end the process here and now.
          input.setRawMode(false)
          if (interrupt === 'answer') return finish(undefined)
          finish(undefined)
          process.kill(process.pid, 'SIGINT')
          return
        }
        if (byte === 0x04) {
          if (length === 0) return finish(undefined)
        } else if (byte === 0x7f || byte === 0x08) erase()
        else if (byte === 0x15) while (length > 0) erase()
        else if (byte >= 0x20 && length < answerLimit) {
          line[length++] = byte
          if (echo) print(Uint8Array.of(byte))
        }
      }
    }
    input.on('data', onData)
    input.on('end', () => finish(undefined))
    input.on('error', () => finish(undefined))
  })
}
