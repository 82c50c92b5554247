import { kill } from 'node:process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SshClient } from '../../src/index.ts'
import { loginTo, type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** How the terminals of tsshd's sessions end. */

let server: RunningTsshd
let client: SshClient
beforeAll(async () => {
  server = await startTsshd()
  client = await loginTo(server)
})
afterAll(async () => {
  await client?.close()
  await server?.close()
})

const pty = { term: 'dumb' }

const textOf = async (stream: AsyncIterable<Buffer>): Promise<string> => {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces).toString('latin1')
}

test('a program that closes its terminal before it ends is not hung up', async () => {
  const process = await client.start({ command: 'exec >&- 2>&- <&-; sleep 0.3; exit 7', pty })
  process.stdout.resume()
  process.stderr.resume()
  expect(await process.exit).toMatchObject({ status: 7 })
})

test('a program that is left behind on the terminal does not keep the session, as with sshd', async () => {
  const process = await client.start({ command: 'trap "" HUP; setsid sleep 30 & echo $!; exit 3', pty })
  process.stderr.resume()
  const sleeper = Number(await textOf(process.stdout))
  expect(await process.exit).toMatchObject({ status: 3 })
  // It is still there, which throws otherwise.
  kill(sleeper, 'SIGKILL')
})

/** Bytes that a session may send before its reader takes any (the channel's window). */
const window = 2 * 1024 * 1024

test.each([10_000, 50_000, 90_000, 130_000, 200_000])(
  'the last output reaches a reader that begins after the program ended, %d bytes past the window',
  async past => {
    const size = window + past
    const process = await client.start({ command: `head -c ${size} /dev/zero | tr '\\0' x; printf end`, pty })
    process.stderr.resume()
    await new Promise(resolve => setTimeout(resolve, 1500))
    const text = await textOf(process.stdout)
    expect(text.length).toBe(size + 3)
    expect(text.endsWith('xend')).toBe(true)
    expect(await process.exit).toMatchObject({ status: 0 })
  },
)

test('much output arrives whole and in its order, whether its reader keeps up or not', async () => {
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\r\n`).join('')
  for (const pause of [0, 20]) {
    const process = await client.start({ command: 'seq 200000', pty })
    process.stderr.resume()
    const pieces: Buffer[] = []
    for await (const piece of process.stdout) {
      pieces.push(piece)
      if (pause > 0 && pieces.length < 20) await new Promise(resolve => setTimeout(resolve, pause))
    }
    expect(Buffer.concat(pieces).toString('latin1') === expected).toBe(true)
    expect(await process.exit).toMatchObject({ status: 0 })
  }
})

test('no program gets the terminal of another session', async () => {
  const shell = await client.start({ command: 'tty; cat', pty })
  const terminal = await new Promise<string>(resolve => shell.stdout.once('data', data => resolve(String(data).trim())))
  expect(terminal).toMatch(/^\/dev\//)
  for (const options of [{}, { pty }]) {
    const seen = await client.run('ls -l /proc/self/fd', options)
    expect(seen.stdout.toString()).toContain('/proc/')
    expect(seen.stdout.toString()).not.toMatch(/ptmx/)
  }
  shell.stdin.end('\u0004')
  shell.stdout.resume()
  shell.stderr.resume()
  expect(await shell.exit).toMatchObject({ status: 0 })
})
