import { spawn } from 'node:child_process'
import { readSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { messageOf } from '../../lib/errors.ts'
import type { PamMessage, PamResult } from '../../src/native/pam.ts'
import { reexecution } from './reexec.ts'

/**
 * PAM asks while it runs, and blocks: it gets a process of its own, which speaks JSON lines with the connection's, one
 * question at a time.
 */

export interface PamRequest {
  readonly service: string
  readonly user: string
  readonly remoteHost: string
  /** `login`: authenticate, then check the account; `account`: the latter alone, after a key proved the user. */
  readonly purpose: 'login' | 'account'
  readonly emptyPasswords: boolean
  /** Whether there is somebody to ask for a new password when the old one has expired. */
  readonly mayChangePassword: boolean
}

export type PamOutcome =
  | { readonly kind: 'accepted'; readonly passwordExpired: boolean }
  | { readonly kind: 'refused'; readonly stage: 'authentication' | 'account'; readonly reason: string }

type FromHelper = { readonly message: PamMessage } | { readonly outcome: PamOutcome }

/** Longest line that the helper sends. */
const lineLimit = 64 * 1024

/** Runs a PAM login. `converse` answers a message; undefined gives up, and rejecting ends the helper. */
export function runPam(
  request: PamRequest,
  converse: (message: PamMessage) => Promise<string | undefined>,
): Promise<PamOutcome> {
  const [program, ...args] = reexecution('pam')
  const helper = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    const send = (value: unknown): void => {
      helper.stdin.write(`${JSON.stringify(value)}\n`)
    }
    const fail = (error: unknown): void => {
      helper.kill('SIGKILL')
      reject(error)
    }
    helper.stdin.on('error', () => {})
    helper.on('error', reject)
    createInterface(helper.stdout).on('line', line => {
      if (line.length > lineLimit) return fail(new Error('PAM said too much'))
      const received = JSON.parse(line) as FromHelper
      if ('outcome' in received) resolve(received.outcome)
      else converse(received.message).then(answer => send({ answer: answer ?? null }), fail)
    })
    helper.on('close', () =>
      resolve({ kind: 'refused', stage: 'authentication', reason: 'the PAM process ended unexpectedly' }),
    )
    send(request)
  })
}

/** The helper's own side: everything here blocks. */
export async function pamHelperMain(): Promise<number> {
  const { startPam } = await import('../../src/native/pam.ts')
  const request = readLine() as PamRequest
  const send = (value: FromHelper): void => writeAll(`${JSON.stringify(value)}\n`)
  try {
    const transaction = startPam({
      ...request,
      conversation(message) {
        send({ message })
        return (readLine() as { answer: string | null }).answer ?? undefined
      },
    })
    const refused = (stage: 'authentication' | 'account', result: PamResult): PamOutcome => ({
      kind: 'refused',
      stage,
      reason: result.ok ? '' : result.reason,
    })
    const judge = (): PamOutcome => {
      if (request.purpose === 'login') {
        const proved = transaction.authenticate(request)
        if (!proved.ok) return refused('authentication', proved)
      }
      const account = transaction.checkAccount()
      if (account !== 'new-password')
        return account.ok ? { kind: 'accepted', passwordExpired: false } : refused('account', account)
      if (!request.mayChangePassword) return { kind: 'accepted', passwordExpired: true }
      const changed = transaction.changeExpiredPassword()
      return changed.ok ? { kind: 'accepted', passwordExpired: false } : refused('account', changed)
    }
    const outcome = judge()
    transaction.end()
    send({ outcome })
  } catch (error) {
    send({ outcome: { kind: 'refused', stage: 'authentication', reason: messageOf(error) } })
  }
  return 0
}

/** One JSON line of standard input; the process ends with it. */
function readLine(): unknown {
  const bytes: number[] = []
  const byte = Buffer.alloc(1)
  while (bytes.length < lineLimit) {
    let count: number
    try {
      count = readSync(0, byte)
    } catch (error) {
      // The descriptor may have come to us non-blocking.
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
        continue
      }
      throw error
    }
    if (count === 0) process.exit(1)
    if (byte[0] === 0x0a) break
    bytes.push(byte[0]!)
  }
  return JSON.parse(Buffer.from(bytes).toString())
}

function writeAll(text: string): void {
  const data = Buffer.from(text)
  for (let at = 0; at < data.length; ) at += writeSync(1, data, at)
}
