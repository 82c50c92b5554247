import { sanitize } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { defaultUserExtensions, flagOption, issueCertificate, textOption } from '../../lib/keys/certificate-issue.ts'
import { keySigner, type Signer } from '../../lib/keys/signer.ts'
import { matchCidrList } from '../../src/openssh/pattern.ts'
import { reachAgent } from './agent.ts'
import { expandHome, type LoadedKey, loadIdentity, loadPublic, problemOf, savePublic } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { complain } from './terminal.ts'
import { describeValidity, parseValidity } from './validity.ts'

const principalLimit = 256

/** Permissions by the option that gives one and the one that takes it; names are compared without regard to case. */
const permissions: readonly (readonly [extension: string, on: string, off: string])[] = [
  ['permit-X11-forwarding', 'permit-x11-forwarding', 'no-x11-forwarding'],
  ['permit-agent-forwarding', 'permit-agent-forwarding', 'no-agent-forwarding'],
  ['permit-port-forwarding', 'permit-port-forwarding', 'no-port-forwarding'],
  ['permit-pty', 'permit-pty', 'no-pty'],
  ['permit-user-rc', 'permit-user-rc', 'no-user-rc'],
  ['no-touch-required', 'no-touch-required', 'touch-required'],
]

interface CertificateOptions {
  readonly criticalOptions: Map<string, Buffer>
  readonly extensions: Map<string, Buffer>
}

/** Reads -O. @throws CommandError */
function readOptions({ options, flags }: Settings): CertificateOptions {
  const criticalOptions = new Map<string, Buffer>()
  const extensions = new Map(flags.has('h') ? [] : defaultUserExtensions)
  // Those that somebody names are added last, whatever `clear` says.
  const named: [Map<string, Buffer>, string, Buffer][] = []
  for (const option of options) {
    const lower = option.toLowerCase()
    const [, name, value = ''] = /^([^=:]*)[=:](.*)$/s.exec(option) ?? []
    const switched = permissions.find(([, on, off]) => on === lower || off === lower)
    if (switched) {
      if (switched[1] === lower) extensions.set(switched[0], flagOption)
      else extensions.delete(switched[0])
    } else if (lower === 'clear') {
      extensions.clear()
      criticalOptions.delete('verify-required')
    } else if (lower === 'verify-required') criticalOptions.set('verify-required', flagOption)
    else if (lower === 'no-verify-required') criticalOptions.delete('verify-required')
    else if (/^(force-command|source-address)=/i.test(option)) setText(criticalOptions, name!.toLowerCase(), value)
    else if (/^(extension|critical):/i.test(option)) {
      const [key, ...rest] = value.split('=')
      const data = rest.length > 0 ? textOption(rest.join('=')) : flagOption
      named.push([/^c/i.test(option) ? criticalOptions : extensions, key!, data])
    } else fatal(`Unsupported certificate option "${option}"`)
  }
  for (const [map, key, data] of named) map.set(key, data)
  return { criticalOptions, extensions }
}

function setText(options: Map<string, Buffer>, name: string, value: string): void {
  if (value === '') fatal(`Empty ${name} option`)
  if (options.has(name)) fatal(`${name} already specified`)
  if (name === 'source-address' && matchCidrList(undefined, value) === 'invalid') fatal('Invalid source-address list')
  options.set(name, textOption(value))
}

function readPrincipals(text: string | undefined): string[] {
  const principals = text?.split(',') ?? []
  if (principals.includes('')) fatal('Empty principal name')
  if (principals.length > principalLimit) fatal('Too many certificate principals specified')
  return principals
}

const now = (): bigint => BigInt(Math.floor(Date.now() / 1000))

/** -s: certifies each key that is named, and writes `key-cert.pub` beside it. */
export async function certify(settings: Settings): Promise<number> {
  const { text, flags, operands } = settings
  const validity = text.has('V') ? parseValidity(text.get('V')!, now()) : undefined
  const keyId = text.get('I') ?? fatal('Must specify key id (-I) when certifying')
  if (!text.has('n')) complain('Warning: certificate will contain no principals (-n)')
  const options = readOptions(settings)
  const authority = await openAuthority(settings)
  try {
    const algorithm = chooseAlgorithm(authority.signer, text.get('t'))
    const principals = readPrincipals(text.get('n'))
    let { serial } = settings
    for (const operand of operands) {
      const kind = flags.has('h') ? 'host' : 'user'
      const request = { kind, keyId, principals, serial, ...validity, ...options } as const
      await certifyOne(expandHome(operand), settings, async ({ key: publicKey }, path) => {
        try {
          return await issueCertificate({ ...request, publicKey }, authority.signer, algorithm)
        } catch (error) {
          return fatal(`Couldn't certify ${flags.has('U') ? `${path} via agent` : `key ${path}`}: ${problemOf(error)}`)
        }
      })
      if (settings.serialsCount) serial = BigInt.asUintN(64, serial + 1n)
    }
  } finally {
    authority.close()
  }
  return 0
}

async function certifyOne(
  path: string,
  { quiet, text }: Settings,
  issue: (key: LoadedKey, path: string) => Promise<Certificate>,
): Promise<void> {
  let subject: LoadedKey
  try {
    subject = await loadPublic(path)
  } catch (error) {
    return fatal(`load pubkey "${path}": ${problemOf(error)}`)
  }
  if (subject.certificate) fatal(`key "${path}" type ${subject.label} cannot be certified`)
  const certificate = await issue(subject, path)
  const out = `${path.replace(/\.pub$/, '')}-cert.pub`
  try {
    savePublic(out, certificate, subject.comment)
  } catch (error) {
    fatal(`Unable to save public key to ${out}: ${problemOf(error)}`)
  }
  if (quiet) return
  const principals = text.has('n') ? ` for ${text.get('n')}` : ''
  const { kind, keyId, serial } = certificate
  const what = `Signed ${kind} key ${out}: id "${keyId}" serial ${serial}${principals}`
  complain(sanitize(`${what} valid ${describeValidity(certificate)}`, true))
}

interface Authority {
  readonly signer: Signer
  close(): void
}

/** The authority's key: from its file, or with -U from the agent that holds it. */
async function openAuthority(settings: Settings): Promise<Authority> {
  const path = expandHome(settings.text.get('s')!)
  if (settings.flags.has('D')) fatal('PKCS#11 tokens are not supported: no provider can be loaded')
  if (!settings.flags.has('U')) {
    const { key } = await loadIdentity(path, settings)
    if (key.family.label.endsWith('-SK')) fatal(`Couldn't certify with ${path}: it is in a security key`)
    return { signer: keySigner(key), close: () => key.dispose() }
  }
  let wanted: LoadedKey
  try {
    wanted = await loadPublic(path)
  } catch (error) {
    return fatal(`Cannot load CA public key ${path}: ${problemOf(error)}`)
  }
  const agent = await reachAgent().catch(error => fatal(`Cannot use public key for CA signature: ${problemOf(error)}`))
  const signers = await agent.client.signers().catch(error => fatal(`Retrieve agent key list: ${problemOf(error)}`))
  const signer = signers.find(({ publicKey, certificate }) => !certificate && publicKey.equals(wanted.key))
  if (!signer) {
    agent.close()
    return fatal(`CA key ${path} not found in agent`)
  }
  return { signer, close: () => agent.close() }
}

/** -t names the algorithm of an RSA authority; of any other it can only repeat the key's type. */
function chooseAlgorithm({ publicKey, algorithms }: Signer, wanted: string | undefined): string | undefined {
  if (wanted === undefined) return publicKey.type === 'ssh-rsa' ? 'rsa-sha2-512' : algorithms[0]
  if (algorithms.includes(wanted)) return wanted
  const label = publicKey.label.toLowerCase()
  if (wanted.toLowerCase() === label) return publicKey.type === 'ssh-rsa' ? 'rsa-sha2-512' : algorithms[0]
  return fatal(`CA key type ${publicKey.type} doesn't match specified ${wanted}`)
}
