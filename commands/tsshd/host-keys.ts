import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import { parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { certifiedSigner, keySigner, type Signer, signingAlgorithms } from '../../lib/keys/signer.ts'
import { x509Signers } from '../../lib/keys/x509/signers.ts'
import { parseX509File } from '../../lib/keys/x509/text.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { readPrivateKeyFile } from '../../src/identity/key-files.ts'
import { type ConnectedAgent, connectAgent } from '../../src/net/agent-socket.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'

/** Longest file of a public key, in bytes. */
const publicLimit = 64 * 1024
/** Longest file of a certificate, in bytes. */
const certificateLimit = 1024 * 1024

/** A key or certificate as its file has it, so that it can be handed to another process. */
export interface KeyMaterial {
  readonly file: string
  /** One character a byte: the private key or, where an agent has that, the line of the public one. */
  readonly contents: string
  /** The socket of the agent that signs (HostKeyAgent). */
  readonly agent?: string
}

export interface HostKeyRules {
  /** HostKeyAgent: for files whose private half cannot be read. */
  readonly agent: string | undefined
  readonly requiredRsaBits: number
}

/** Reads host keys; one that cannot be used is reported and passed over. @throws CommandError when none is left */
export function readHostKeys(files: readonly string[], rules: HostKeyRules, log: Log): KeyMaterial[] {
  const agent = rules.agent !== undefined && isAgent(rules.agent, log) ? rules.agent : undefined
  const materials = files.flatMap(file => {
    const material = readInAgent(file, agent, log) ?? readHostKey(file, log)
    return material && isLongEnough(material, rules, log) ? [material] : []
  })
  if (materials.length === 0) throw new CommandError('tsshd: no hostkeys available -- exiting.', 1)
  return materials
}

function isAgent(socket: string, log: Log): boolean {
  if (statSync(socket, { throwIfNoEntry: false })?.isSocket()) return true
  log.error(`Could not connect to agent "${socket}": No such file or directory`)
  return false
}

/** A key of which only the public half is there: in the file itself, or beside it. */
function readInAgent(file: string, agent: string | undefined, log: Log): KeyMaterial | undefined {
  if (agent === undefined) return undefined
  for (const name of [file, `${file}.pub`]) {
    try {
      const contents = readRegularFile(name, publicLimit).toString('latin1').trim()
      if (name === file && /PRIVATE KEY|PuTTY-User-Key/.test(contents)) return undefined
      parsePublicKeyLine(contents)
      log.debug1?.(`will rely on agent for hostkey ${file}`)
      return { file, contents, agent }
    } catch {
      // Perhaps the other one.
    }
  }
  return undefined
}

function isLongEnough(material: KeyMaterial, { requiredRsaBits }: HostKeyRules, log: Log): boolean {
  const { label, bits } = publicKeyOf(material)
  if (label !== 'RSA' || bits >= requiredRsaBits) return true
  log.error(`Host key ${material.file}: Invalid key length`)
  return false
}

const publicKeyOf = ({ contents, agent }: KeyMaterial): PublicKey =>
  agent === undefined ? parsePrivateKey(Buffer.from(contents, 'latin1')).publicKey : parsePublicKeyLine(contents).key

function readHostKey(file: string, log: Log): KeyMaterial | undefined {
  try {
    const contents = readPrivateKeyFile(file, log)
    if (!contents) {
      log.error(`Unable to load host key "${file}": bad permissions`)
      return undefined
    }
    const { publicKey } = parsePrivateKey(contents)
    log.debug1?.(`private host key ${file}: ${publicKey.type} ${fingerprint(publicKey.blob)}`)
    return { file, contents: contents.toString('latin1') }
  } catch (error) {
    log.error(`Unable to load host key "${file}": ${systemErrorText(error) ?? messageOf(error)}`)
    return undefined
  }
}

/** The signers of keys that `readHostKeys` found good. */
export const signersOf = (materials: readonly KeyMaterial[]): Signer[] =>
  materials.map(material => {
    const { file, contents, agent } = material
    if (agent === undefined) return keySigner(parsePrivateKey(Buffer.from(contents, 'latin1')), file)
    const publicKey = publicKeyOf(material)
    const { blob } = publicKey
    const sign = (data: Buffer, algorithm: string): Promise<Buffer> => signByAgent(agent, blob, data, algorithm)
    return { publicKey, algorithms: signingAlgorithms(publicKey), blob, comment: file, sign }
  })

/** One connection for each agent: later ones would be the user's, whom it may not serve. */
const agents = new Map<string, Promise<ConnectedAgent>>()

async function signByAgent(socket: string, blob: Buffer, data: Buffer, algorithm: string): Promise<Buffer> {
  const known = agents.get(socket)
  const connected = known ?? connectAgent(socket)
  agents.set(socket, connected)
  try {
    return await (await connected).client.sign(blob, data, algorithm)
  } catch (error) {
    agents.delete(socket)
    // It may have been started anew since.
    if (!known) throw error
    return signByAgent(socket, blob, data, algorithm)
  }
}

/** Reads certificates (HostCertificate); one that cannot be read is reported and passed over. */
export function readHostCertificates(files: readonly string[], log: Log): KeyMaterial[] {
  return files.flatMap(file => {
    try {
      return [{ file, contents: readRegularFile(file, certificateLimit).toString('latin1') }]
    } catch (error) {
      log.error(`Could not load host certificate "${file}": ${systemErrorText(error) ?? messageOf(error)}`)
      return []
    }
  })
}

/** Certificates for these keys; one that fits none is reported and passed over. */
export function certifiedSigners(materials: readonly KeyMaterial[], keys: readonly Signer[], log: Log): Signer[] {
  return materials.flatMap(({ file, contents }) => {
    try {
      const x509 = parseX509File(contents)
      const { certificate } = x509.length > 0 ? {} : parseKeyOrCertificateLine(contents)
      const certified = x509[0]?.publicKey ?? (certificate?.kind === 'host' ? certificate.publicKey : undefined)
      if (!certified) throw new Error('not a host certificate')
      const signer = keys.find(({ publicKey }) => publicKey.equals(certified))
      if (signer) return certificate ? [certifiedSigner(signer, certificate)] : x509Signers(signer, x509)
      log.error(`No matching private key for certificate: ${file}`)
    } catch (error) {
      log.error(`Could not load host certificate "${file}": ${systemErrorText(error) ?? messageOf(error)}`)
    }
    return []
  })
}

/** The host key of a server without a configuration: made when it is first needed. */
export function ownHostKey(home: string, log: Log): string {
  const file = join(home, '.tsshd', 'ssh_host_ed25519_key')
  try {
    statSync(file)
  } catch {
    const key = generateKey('ed25519', undefined, 'tsshd')
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, formatOpensshV1(key), { mode: 0o600, flag: 'wx' })
    writeFileSync(`${file}.pub`, `${formatPublicKeyLine(key.publicKey, 'tsshd')}\n`)
    log.info?.(`Made a host key: ${file}`)
  }
  return file
}
