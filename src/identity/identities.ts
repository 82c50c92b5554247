import { statSync } from 'node:fs'
import { KeyError, messageOf } from '../../lib/errors.ts'
import type { FingerprintHash } from '../../lib/keys/fingerprint.ts'
import { parsePrivateKey, publicPartOf } from '../../lib/keys/formats/private-file.ts'
import type { PrivateKey } from '../../lib/keys/private-key.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner, lazySigner, type Signer } from '../../lib/keys/signer.ts'
import { x509Signers } from '../../lib/keys/x509/signers.ts'
import type { Log } from '../../lib/log.ts'
import type { HostKeyEvidence } from '../../lib/transport/transport.ts'
import { type ConnectedAgent, connectAgent } from '../net/agent-socket.ts'
import type { AddKeysToAgent } from '../openssh/ssh-config.ts'
import type { Ask, Environment } from './ask.ts'
import { fileProblem, loadProblem, readPrivateKeyFile, readPublicKeyFile } from './key-files.ts'
import { type Candidate, describeIdentity, orderIdentities, type PlannedIdentity } from './order.ts'

export interface IdentityOptions {
  /** IdentityFile, expanded. */
  readonly files: readonly string[]
  /** CertificateFile, expanded. Where there are some, no `-cert.pub` beside an identity is looked for. */
  readonly certificateFiles: readonly string[]
  /** RSA keys with fewer bits are not used (RequiredRSASize). */
  readonly requiredRsaBits: number
  /** Whether the user named the files. */
  readonly filesAreExplicit: boolean
  /** Algorithms that keys may be used under (PubkeyAcceptedAlgorithms). */
  readonly acceptedAlgorithms: readonly string[]
  /** For the log. */
  readonly fingerprintHash: FingerprintHash
  readonly identitiesOnly: boolean
  /** The agent's socket; undefined for none. */
  readonly agentSocket: string | undefined
  /** What the host proved itself with: an agent wants it where a key is for certain hosts only. */
  readonly hostKeyEvidence?: HostKeyEvidence | undefined
  /** Undefined when nobody may be asked (BatchMode). */
  readonly ask: Ask | undefined
  readonly passphrasePrompts: number
  /** Whether a key that a file gave goes to the agent, and for how many seconds (0: for ever). */
  readonly addKeysToAgent: AddKeysToAgent
  readonly env: Environment
  readonly log: Log
}

interface IdentityPlan {
  readonly identities: readonly PlannedIdentity[]
  readonly candidates: readonly Candidate[]
  readonly agentSigners: readonly Signer[]
}

/**
 * The keys to offer, in order. Files are opened when their turn comes, and a passphrase is asked for only once a key is
 * accepted.
 */
export async function* identities(options: IdentityOptions): AsyncGenerator<Signer> {
  const { log } = options
  const agent = await reachAgent(options)
  try {
    if (agent) await bindAgent(agent, options)
    const plan = await planIdentities(agent, options)
    for (const identity of plan.identities)
      log.debug1?.(`Will attempt key: ${describeIdentity(identity, options.fingerprintHash)}`)
    for (const { candidate, held, name, origin } of plan.identities) {
      const signer = held ?? (candidate && (await signerOf(candidate, plan)))
      if (!signer || !isLongEnough(signer.publicKey, options)) continue
      for (const shown of candidate?.x509 ? x509Signers(signer, candidate.x509) : [signer])
        yield { ...shown, comment: name, origin, sign: (data, algorithm) => shown.sign(data, algorithm) }
    }
  } finally {
    agent?.close()
  }
}

/** The keys that would be offered, a line for each, without a connection. */
export async function describeIdentities(options: IdentityOptions): Promise<string[]> {
  const agent = await reachAgent(options)
  try {
    const plan = await planIdentities(agent, options)
    return plan.identities.map(identity => describeIdentity(identity, options.fingerprintHash))
  } finally {
    agent?.close()
  }
}

async function planIdentities(agent: ConnectedAgent | undefined, options: IdentityOptions): Promise<IdentityPlan> {
  const { files, certificateFiles, log } = options
  const agentSigners = (await listAgent(agent, log)).filter(signer => isLongEnough(signer.publicKey, options))
  const own = files.flatMap(file => {
    const beside = certificateFiles.length > 0 ? undefined : certificateCandidate(`${file}-cert.pub`, options, file)
    return [keyCandidate(file, options), ...(beside ? [beside] : [])]
  })
  const named = certificateFiles.flatMap(file => certificateCandidate(file, options) ?? [])
  return {
    identities: orderIdentities(own, named, agentSigners, options),
    candidates: [...own, ...named],
    agentSigners,
  }
}

/** A certificate is signed for by the key it certifies, wherever that is. With X.509 certificates it is the bare key's. */
async function signerOf(candidate: Candidate, plan: IdentityPlan): Promise<Signer | undefined> {
  const { certificate, x509, publicKey } = candidate
  if (!publicKey || !(certificate || x509)) return candidate.signer()
  const signer = await plainSignerOf(publicKey, plan)
  return signer && certificate ? certifiedSigner(signer, certificate) : signer
}

async function plainSignerOf(
  publicKey: PublicKey,
  { candidates, agentSigners }: IdentityPlan,
): Promise<Signer | undefined> {
  const inAgent = agentSigners.find(signer => !signer.certificate && signer.publicKey.equals(publicKey))
  if (inAgent) return inAgent
  for (const other of candidates) {
    if (other.certificate || other.x509 || !other.publicKey?.equals(publicKey)) continue
    const signer = await other.signer()
    if (signer) return signer
  }
  return undefined
}

function isLongEnough(key: PublicKey, { requiredRsaBits, log }: IdentityOptions): boolean {
  if (key.type !== 'ssh-rsa' || key.bits >= requiredRsaBits) return true
  log.debug1?.(`RSA key of ${key.bits} bits is shorter than RequiredRSASize ${requiredRsaBits}; not used`)
  return false
}

async function reachAgent({ agentSocket, log }: IdentityOptions): Promise<ConnectedAgent | undefined> {
  if (agentSocket === undefined) return undefined
  try {
    return await connectAgent(agentSocket)
  } catch (error) {
    log.debug1?.(`get_agent_identities: ssh_get_authentication_socket: ${messageOf(error)}`)
    return undefined
  }
}

/** Tells the agent which host it signs for. One that does not know this, or does not believe it, is asked all the same. */
async function bindAgent({ client }: ConnectedAgent, { hostKeyEvidence, log }: IdentityOptions): Promise<void> {
  if (!hostKeyEvidence) return
  const { blob: hostKey, exchangeHash: sessionId, signature } = hostKeyEvidence
  try {
    await client.bindSession({ hostKey, sessionId, signature, forwarding: false })
    log.debug1?.('get_agent_identities: bound agent to hostkey')
  } catch (error) {
    log.debug2?.(`get_agent_identities: ssh_agent_bind_hostkey: ${messageOf(error)}`)
  }
}

async function listAgent(agent: ConnectedAgent | undefined, log: Log): Promise<readonly Signer[]> {
  if (!agent) return []
  try {
    const signers = await agent.client.signers()
    log.debug1?.(`get_agent_identities: agent returned ${signers.length} keys`)
    return signers
  } catch (error) {
    log.debug1?.(`get_agent_identities: ssh_fetch_identitylist: ${messageOf(error)}`)
    return []
  }
}

/** A certificate that was named, or that is beside the key in `keyFile`. */
function certificateCandidate(file: string, options: IdentityOptions, keyFile?: string): Candidate | undefined {
  const { log } = options
  const found = readPublicKeyFile(file)
  const type = found?.certificate?.type ?? (found?.x509 && `x509v3-${found.key.type}`) ?? '-1'
  log.debug1?.(`${keyFile === undefined ? 'certificate' : 'identity'} file ${file} type ${type}`)
  if (!found?.certificate && !found?.x509) return undefined
  const { certificate, x509 } = found
  if (certificate && certificate.kind !== 'user') {
    log.debug1?.(`${file} is no certificate of a user; ignored`)
    return undefined
  }
  return {
    file: keyFile ?? file,
    isExplicit: keyFile === undefined || options.filesAreExplicit,
    publicKey: found.key,
    ...(certificate && { certificate }),
    ...(x509 && { x509 }),
    signer: async () => undefined,
  }
}

function keyCandidate(file: string, options: IdentityOptions): Candidate {
  const { log, filesAreExplicit: isExplicit } = options
  const exists = statSync(file, { throwIfNoEntry: false }) !== undefined
  // The public half alone is enough when an agent holds the other, and so is a file that is one.
  const shown = readPublicKeyFile(`${file}.pub`) ?? readPublicKeyFile(file)
  // Without a public half beside it, the file has to be read now: its key decides about the order.
  const publicKey = shown?.key ?? (exists ? publicKeyOf(file) : undefined)
  log.debug1?.(`identity file ${file} type ${publicKey?.type ?? '-1'}`)
  return {
    file,
    isExplicit,
    publicKey,
    async signer() {
      if (exists) return fileSigner(file, publicKey, options)
      if (!publicKey) log[isExplicit ? 'info' : 'debug3']?.(`no such identity: ${file}: No such file or directory`)
      return undefined
    },
  }
}

/** The public half in a private key file, if it can be told without a passphrase. Problems come up when it is used. */
function publicKeyOf(file: string): PublicKey | undefined {
  try {
    const contents = readPrivateKeyFile(file, { error() {} })
    return contents && publicPartOf(contents)
  } catch {
    return undefined
  }
}

/** A file's key, opened when it first signs if its public half is known, else now. */
async function fileSigner(
  file: string,
  publicKey: PublicKey | undefined,
  options: IdentityOptions,
): Promise<Signer | undefined> {
  const { log } = options
  let contents: Buffer | undefined
  try {
    contents = readPrivateKeyFile(file, log)
  } catch (error) {
    log.error(`Load key "${file}": ${fileProblem(error)}`)
    return undefined
  }
  if (!contents) {
    log.error(`Load key "${file}": bad permissions`)
    return undefined
  }
  // A public key file names a key of the agent.
  if (!contents.includes('PRIVATE KEY') && publicKey) return undefined
  const load = () => loadPrivateKey(file, contents, options)
  if (publicKey) return lazySigner(publicKey, file, load)
  log.debug1?.(`Trying private key: ${file}`)
  const key = await load().catch(() => undefined)
  return key && keySigner(key, file)
}

/** AddKeysToAgent. What goes wrong is no reason not to log in. */
async function addToAgent(key: PrivateKey, file: string, options: IdentityOptions): Promise<void> {
  const { addKeysToAgent, agentSocket, env, log } = options
  const { mode, seconds } = addKeysToAgent
  if (mode === 'no') return
  if (agentSocket === undefined) {
    log.debug3?.('no authentication agent, not adding key')
    return
  }
  if (mode === 'ask') {
    const { confirmByAskpass } = await import('./confirm.ts')
    if (!(await confirmByAskpass(`Add key ${file} (${key.comment}) to agent?`, env))) {
      log.debug3?.('user denied adding this key')
      return
    }
  }
  try {
    const agent = await connectAgent(agentSocket)
    try {
      const constraints = { ...(seconds > 0 && { lifetime: seconds }), ...(mode === 'confirm' && { confirm: true }) }
      await agent.client.add(key, key.comment || file, constraints)
      log.debug1?.(`identity added to agent: ${file}`)
    } finally {
      agent.close()
    }
  } catch (error) {
    log.debug1?.(`could not add identity to agent: ${file}: ${messageOf(error)}`)
  }
}

/** Opens a private key, asking for its passphrase as often as the configuration allows. @throws KeyError */
async function loadPrivateKey(file: string, contents: Buffer, options: IdentityOptions): Promise<PrivateKey> {
  const { ask, passphrasePrompts, log } = options
  let passphrase: string | undefined
  for (let attempt = 0; ; attempt++) {
    try {
      const key = parsePrivateKey(contents, passphrase)
      await addToAgent(key, file, options)
      return key
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      if (error.code !== 'passphrase-required' && error.code !== 'wrong-passphrase') {
        log.error(`Load key "${file}": ${loadProblem(error)}`)
        throw error
      }
      if (!ask || attempt >= passphrasePrompts) throw error
      if (attempt > 0) log.debug2?.('bad passphrase given, try again...')
      passphrase = await ask(`Enter passphrase for key '${file}': `, { echo: false })
      if (!passphrase) {
        log.debug2?.('no passphrase given, try next key')
        throw error
      }
    }
  }
}
