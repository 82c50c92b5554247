import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SshClient } from '../../src/index.ts'
import { loginTo, type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** What the programs of sessions without a terminal get and give, with pipes of our own and with those of Node. */

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')
/** What `seq` prints. */
const numbers = (last: number): Buffer =>
  Buffer.from(`${Array.from({ length: last }, (_, index) => index + 1).join('\n')}\n`)

const folder = mkdtempSync(join(tmpdir(), 'tssh-programs-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** As if the package koffi were not installed. */
function withoutKoffi(): Record<string, string> {
  const path = join(folder, 'without-koffi.cjs')
  writeFileSync(
    path,
    `const Module = require('node:module')
const resolve = Module._resolveFilename
Module._resolveFilename = function (name, ...rest) {
  if (name === 'koffi') throw Object.assign(new Error("Cannot find module 'koffi'"), { code: 'MODULE_NOT_FOUND' })
  return resolve.call(this, name, ...rest)
}
`,
  )
  return { NODE_OPTIONS: `--require ${path}` }
}

describe.each([
  ['with koffi', {}],
  ['without koffi', withoutKoffi()],
])('programs on pipes, %s', (kind, environment) => {
  let server: RunningTsshd
  let client: SshClient
  beforeAll(async () => {
    server = await startTsshd([], environment)
    client = await loginTo(server)
  })
  afterAll(async () => {
    await client?.close()
    await server?.close()
  })

  const run = async (command: string, input?: Buffer) => {
    const started = await client.start({ command })
    started.stdin.on('error', () => {})
    started.stdin.end(input)
    const [output, errors, exit] = await Promise.all([
      started.stdout.toArray() as Promise<Buffer[]>,
      started.stderr.toArray() as Promise<Buffer[]>,
      started.exit,
    ])
    return { output: Buffer.concat(output), errors: Buffer.concat(errors), exit }
  }

  // Those of Node are sockets, which have no names.
  if (kind === 'with koffi')
    test('they can be opened again by their names, as with sshd', async () => {
      const { output, errors, exit } = await run(
        'cat /dev/stdin >/dev/stdout; echo error >/dev/stderr; exit 3',
        Buffer.from('input\n'),
      )
      expect({ output: `${output}`, errors: `${errors}`, exit }).toMatchObject({
        output: 'input\n',
        errors: 'error\n',
        exit: { status: 3 },
      })
    })

  test('all output comes, and then the status', async () => {
    const { output, exit } = await run('seq 2000000; exit 7')
    expect(exit).toMatchObject({ status: 7 })
    expect(sha256(output)).toBe(sha256(numbers(2_000_000)))
    for (let turn = 0; turn < 20; turn++) {
      const { output, exit } = await run('seq 1000; kill -TERM $$')
      expect(exit).toMatchObject({ signal: { name: 'TERM' } })
      expect(output.equals(numbers(1000))).toBe(true)
    }
  })

  test('what a program leaves in the background may still write', async () => {
    const { output, errors, exit } = await run('(sleep 1; echo late; seq 200000 >&2) & echo early; exit 4')
    expect(`${output}`).toBe('early\nlate\n')
    expect(errors.equals(numbers(200_000))).toBe(true)
    expect(exit).toMatchObject({ status: 4 })
  })

  test('a program may close its output long before it ends', async () => {
    const { output, exit } = await run('echo done; exec >&- 2>&-; sleep 1; exit 5')
    expect(`${output}`).toBe('done\n')
    expect(exit).toMatchObject({ status: 5 })
  })

  test('a reader that stops, and goes on once everything is full, gets all of both outputs', async () => {
    const started = await client.start({ command: 'seq 1500000 & seq 1500000 >&2; wait' })
    await sleep(1500)
    const [output, errors] = [createHash('sha256'), createHash('sha256')]
    const drained = (async () => {
      let count = 0
      for await (const data of started.stdout) {
        output.update(data as Buffer)
        if (++count % 100 === 0) await sleep(5)
      }
    })()
    await sleep(500)
    for await (const data of started.stderr) errors.update(data as Buffer)
    await drained
    const expected = sha256(numbers(1_500_000))
    expect([output.digest('hex'), errors.digest('hex')]).toEqual([expected, expected])
    expect(await started.exit).toMatchObject({ status: 0 })
  })

  test('output and error output in turns keep their order', async () => {
    const { output, errors } = await run('for i in $(seq 3000); do echo $i; echo $i >&2; done')
    expect(output.equals(numbers(3000))).toBe(true)
    expect(errors.equals(numbers(3000))).toBe(true)
  })

  test('many at once, through the same memory', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, (_, index) => run(`seq ${300_000 + index}`)))
    for (const [index, { output }] of results.entries()) {
      expect(sha256(output)).toBe(sha256(numbers(300_000 + index)))
    }
  })

  test('input goes through whole, to a program that is slow to read, too', async () => {
    const input = numbers(1_500_000)
    expect((await run('sha256sum', input)).output.toString('latin1', 0, 64)).toBe(sha256(input))
    const { output } = await run('sleep 1; cat', input)
    expect(sha256(output)).toBe(sha256(input))
  })

  test('a program that ends before it has read its input is no error', async () => {
    const { output, exit } = await run('head -c 3; exit 6', numbers(1_000_000))
    expect(`${output}`).toBe('1\n2')
    expect(exit).toMatchObject({ status: 6 })
  })

  if (process.platform === 'linux')
    test('no program gets an end of another’s pipes', async () => {
      const descriptors = async (): Promise<string> => `${(await run('cd /proc/$$/fd && echo *')).output}`
      const before = await descriptors()
      const held = await client.start({ command: 'cat' })
      expect(await descriptors()).toBe(before)
      held.stdin.end()
      held.stdout.resume()
      held.stderr.resume()
      await held.exit
    })

  if (process.platform === 'linux')
    test('nothing stays open after a program', async () => {
      const descriptors = async (): Promise<number> => {
        // The end of our input came before it counts.
        const { output } = await run('cat; ls /proc/$PPID/fd | wc -l')
        return Number(output)
      }
      const before = await descriptors()
      for (let turn = 0; turn < 10; turn++) await run('echo out; echo err >&2')
      expect(await descriptors()).toBeLessThanOrEqual(before)
    })
})
