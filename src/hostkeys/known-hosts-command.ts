import { ConnectionLostError, messageOf } from '../../lib/errors.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import { captureOutput } from '../net/subprocess.ts'
import { splitArguments } from '../openssh/lexer.ts'
import type { KnownKeySources } from './known-keys.ts'

/** Most bytes that a KnownHostsCommand may print. */
const outputLimit = 64 * 1024 * 1024

/**
 * A KnownHostsCommand: its words are expanded one by one, and no shell sees them. `expand` takes the tokens that only a
 * lookup has. Any failure ends the connection, as ssh's does.
 */
export function knownHostsCommand(
  command: string,
  expand: (word: string, tokens: Readonly<Record<string, string>>) => string,
  fingerprintHash?: FingerprintHash,
): NonNullable<KnownKeySources['knownHostsCommand']> {
  return async (reason, name, key) => {
    const tokens = {
      H: name,
      I: reason,
      t: key?.type ?? 'NONE',
      f: key ? fingerprint(key.blob, fingerprintHash) : 'NONE',
      K: key?.blob.toString('base64') ?? 'NONE',
    }
    const argv = splitArguments(command, { comments: false })?.map(word => expand(word, tokens))
    if (!argv?.length) throw failure('contains invalid quotes')
    if (!argv[0]!.startsWith('/')) throw failure('path is not absolute')
    const { status, output } = await captureOutput(argv, outputLimit).catch(error => {
      throw failure(messageOf(error))
    })
    if (status !== 0) throw failure(`exited with status ${status ?? 'of a signal'}`)
    return output.toString('latin1')
  }
}

const failure = (text: string): ConnectionLostError =>
  new ConnectionLostError('closed', `KnownHostsCommand failed: ${text}`)
