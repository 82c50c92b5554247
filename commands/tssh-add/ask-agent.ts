import type { AgentClient } from '../../lib/agent/client.ts'
import { randomBytes } from '../../lib/crypto/random.ts'
import { sanitize } from '../../lib/errors.ts'
import { signatureAlgorithmOf } from '../../lib/keys/algorithms.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { CommandError } from '../../src/command/errors.ts'
import { problemText, say } from './problems.ts'

/** Bytes that are signed to see whether a key can. */
const testLength = 1024

/** Prints the agent's keys: their fingerprints, or as lines of public key files. @returns whether there are any */
export async function listKeys(client: AgentClient, hash: FingerprintHash | undefined): Promise<boolean> {
  const keys = await client.list().catch(error => {
    throw new CommandError(`error fetching identities: ${problemText(error)}`, 1)
  })
  if (keys.length === 0) process.stdout.write('The agent has no identities.\n')
  for (const { publicKey, certificate, blob, comment } of keys) {
    const label = `${publicKey.label}${certificate ? '-CERT' : ''}`
    const line = hash
      ? `${publicKey.bits} ${fingerprint(publicKey.blob, hash)} ${comment} (${label})`
      : `${formatPublicKeyLine({ type: certificate?.type ?? publicKey.type, blob })} ${comment}`
    process.stdout.write(`${sanitize(line, true)}\n`)
  }
  return keys.length > 0
}

/** Whether the private half of a public key file's key can be used. */
export async function testKey(client: AgentClient, file: string): Promise<boolean> {
  const { loadPublic } = await import('./public-file.ts')
  let stage = `Couldn't read public key ${file}`
  try {
    const { key, certificate } = loadPublic(file)
    const data = randomBytes(testLength)
    const algorithm = key.type === 'ssh-rsa' ? 'rsa-sha2-256' : signatureAlgorithmOf(key.algorithms[0] ?? key.type)
    stage = `Agent signature failed for ${file}`
    const signature = await client.sign(certificate?.blob ?? key.blob, data, algorithm)
    if (key.verify(data, signature, algorithm)) return true
    say(`Signature verification failed for ${file}: incorrect signature`)
  } catch (error) {
    say(`${stage}: ${problemText(error)}`)
  }
  return false
}

export async function printExtensions(client: AgentClient): Promise<void> {
  const names = await client.extensions().catch(error => {
    throw new CommandError(`unable to query supported extensions: ${problemText(error)}`, 255)
  })
  for (const name of names) process.stdout.write(`${name}\n`)
}

/** Locks or unlocks with a passphrase that is asked for, twice to lock. */
export async function changeLock(client: AgentClient, lock: boolean): Promise<boolean> {
  const { askPassphrase } = await import('../../src/identity/passphrase.ts')
  const passphrase = await askPassphrase('Enter lock password: ', process.env)
  if (lock && (await askPassphrase('Again: ', process.env)) !== passphrase) {
    say('Passwords do not match.')
    return false
  }
  const un = lock ? '' : 'un'
  try {
    await (lock ? client.lock(passphrase) : client.unlock(passphrase))
  } catch (error) {
    say(`Failed to ${un}lock agent: ${problemText(error)}`)
    return false
  }
  say(`Agent ${un}locked.`)
  return true
}
