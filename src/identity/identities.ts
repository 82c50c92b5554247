import { readFileSync, statSync } from 'node:fs'
import { KeyError, messageOf } from '../../lib/errors.ts'
import { parsePrivateKey, publicPartOf } from '../../lib/keys/formats/private-file.ts'
import type { PrivateKey } from '../../lib/keys/private-key.ts'
import { type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { keySigner, lazySigner, type Signer } from '../../lib/keys/signer.ts'
import type { Log } from '../../lib/log.ts'
import { type ConnectedAgent, connectAgent } from '../net/agent-socket.ts'
import type { Ask } from './ask.ts'

export interface IdentityOptions {
  /** IdentityFile, expanded. */
  readonly files: readonly string[]
  /** Whether the files were named: then a missing one is worth a warning. */
  readonly filesAreExplicit: boolean
  readonly identitiesOnly: boolean
  /** The agent's socket; undefined for none. */
  readonly agentSocket: string | undefined
  /** Undefined when nobody may be asked (BatchMode). */
  readonly ask: Ask | undefined
  readonly passphrasePrompts: number
  readonly log: Log
}

/**
 * The keys to offer, in ssh's order: the agent's keys that a file names, the agent's other keys (unless IdentitiesOnly),
 * then files alone. Files are opened when their turn comes, and a passphrase is asked for only once a key is accepted.
 */
export async function* identities(options: IdentityOptions): AsyncGenerator<Signer> {
  const { log } = options
  const agent = options.agentSocket === undefined ? undefined : await reachAgent(options.agentSocket, log)
  try {
    const agentSigners =
      (await agent?.client.signers().catch(error => {
        log.debug1?.(`agent: ${messageOf(error)}`)
        return []
      })) ?? []
    const candidates = options.files.flatMap(file => candidate(file, options) ?? [])
    const held = (key: PublicKey | undefined) => agentSigners.find(({ publicKey }) => key && publicKey.equals(key))
    for (const { publicKey } of candidates) {
      const signer = held(publicKey)
      if (signer) yield signer
    }
    if (!options.identitiesOnly) {
      for (const signer of agentSigners) {
        if (!candidates.some(({ publicKey }) => publicKey && signer.publicKey.equals(publicKey))) yield signer
      }
    }
    for (const { publicKey, signer } of candidates) {
      if (held(publicKey)) continue
      const own = await signer()
      if (own) yield own
    }
  } finally {
    agent?.close()
  }
}

async function reachAgent(path: string, log: Log): Promise<ConnectedAgent | undefined> {
  try {
    return await connectAgent(path)
  } catch (error) {
    log.debug1?.(`agent at ${path}: ${messageOf(error)}`)
    return undefined
  }
}

/** What an identity file can give. */
interface Candidate {
  /** Known without a passphrase, if it is. */
  readonly publicKey: PublicKey | undefined
  signer(): Promise<Signer | undefined>
}

function candidate(file: string, options: IdentityOptions): Candidate | undefined {
  const { log } = options
  const contents = readIdentity(file, options)
  const beside = readPublicKey(`${file}.pub`)
  if (!contents) {
    log.debug1?.(`identity file ${file} type -1`)
    // The public half alone is enough when an agent holds the other.
    return beside && { publicKey: beside, signer: async () => undefined }
  }
  let publicKey: PublicKey | undefined
  try {
    // A public key file names a key of the agent.
    const named = contents.includes('PRIVATE KEY') ? undefined : readPublicKey(file)
    if (named) return { publicKey: named, signer: async () => undefined }
    publicKey = publicPartOf(contents) ?? beside
  } catch (error) {
    log.error(`Load key "${file}": ${loadProblem(error)}`)
    return undefined
  }
  log.debug1?.(`identity file ${file} type ${publicKey?.type ?? '-1'}`)
  const load = () => loadPrivateKey(file, contents, options)
  return {
    publicKey,
    async signer() {
      if (publicKey) return lazySigner(publicKey, file, load)
      const key = await load().catch(() => undefined)
      return key && keySigner(key, file)
    },
  }
}

function readIdentity(file: string, { filesAreExplicit, log }: IdentityOptions): Buffer | undefined {
  try {
    const { mode, uid } = statSync(file)
    // OpenSSH asks this only of files that are the user's own.
    if (uid === process.getuid?.() && mode & 0o077 && readFileSync(file).includes('PRIVATE KEY')) {
      warnOfPermissions(file, mode, log)
      return undefined
    }
    return readFileSync(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (filesAreExplicit) {
      const reason = code === 'ENOENT' ? 'No such file or directory' : messageOf(error)
      log.info?.(`Warning: Identity file ${file} not accessible: ${reason}.`)
    }
    return undefined
  }
}

function warnOfPermissions(file: string, mode: number, log: Log): void {
  const rule = '@'.repeat(59)
  log.error(rule)
  log.error('@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @')
  log.error(rule)
  log.error(`Permissions 0${(mode & 0o777).toString(8)} for '${file}' are too open.`)
  log.error('Your private key files must NOT be accessible by others.')
  log.error('This private key will be ignored.')
}

function readPublicKey(file: string): PublicKey | undefined {
  try {
    return parsePublicKeyLine(readFileSync(file, 'latin1')).key
  } catch {
    return undefined
  }
}

const loadProblem = (error: unknown): string =>
  error instanceof KeyError && (error.code === 'unknown-format' || error.code === 'malformed')
    ? 'invalid format'
    : messageOf(error)

/** Opens a private key, asking for its passphrase as often as the configuration allows. @throws KeyError */
async function loadPrivateKey(
  file: string,
  contents: Buffer,
  { ask, passphrasePrompts, log }: IdentityOptions,
): Promise<PrivateKey> {
  let passphrase: string | undefined
  for (let attempt = 0; ; attempt++) {
    try {
      return parsePrivateKey(contents, passphrase)
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      if (error.code !== 'passphrase-required' && error.code !== 'wrong-passphrase') {
        log.error(`Load key "${file}": ${loadProblem(error)}`)
        throw error
      }
      if (!ask || attempt >= passphrasePrompts) throw error
      passphrase = await ask(`Enter passphrase for key '${file}': `, { echo: false })
      if (!passphrase) throw error
    }
  }
}
