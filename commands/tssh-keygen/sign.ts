import { closeSync, openSync } from 'node:fs'
import { certifiedSigner, keySigner, type Signer } from '../../lib/keys/signer.ts'
import type { SignatureHash } from '../../lib/keys/sshsig.ts'
import { formatSshSignature, signatureHashes, signMessage, startMessageHash } from '../../lib/keys/sshsig.ts'
import { CommandError } from '../../src/command/errors.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { readChunks } from '../../src/terminal/stdin.ts'
import { reachAgent } from './agent.ts'
import {
  confirmOverwrite,
  type LoadedKey,
  type LoadedPrivate,
  loadIdentity,
  loadPublic,
  needsPassphrase,
  openPrivate,
  problemOf,
  writeOutput,
} from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { complain, print } from './terminal.ts'

/** Ends the command with what is missing on its line. */
export function required(value: string | undefined, complaint: string): string {
  if (!value) throw new CommandError(`Too few arguments for ${complaint}`, 1)
  return value
}

/** -Y sign: signs files, each into `file.sig`, or stdin to stdout. */
export async function sign(settings: Settings): Promise<number> {
  const { text, operands, options } = settings
  const namespace = required(text.get('n'), 'sign: missing namespace')
  const keyPath = required(settings.file, 'sign: missing key')
  if (operands.includes('-') && operands.length > 1) fatal('Cannot sign mix of paths and standard input')
  const hash = readHash(options)
  if (hash === undefined) return 255
  let subject: LoadedKey
  try {
    subject = await loadPublic(keyPath)
  } catch (error) {
    complain(`Couldn't load public key ${keyPath}: ${problemOf(error)}`)
    return 255
  }
  const held = await agentSigner(subject, settings)
  const signer = held?.signer ?? (await fileSigner(keyPath, subject, settings))
  try {
    if (!signer) return 255
    for (const path of operands.length > 0 ? operands : ['-']) {
      if (!(await signOne(path, signer, namespace, hash, settings))) return 255
    }
    return 0
  } finally {
    held?.close()
  }
}

/** @returns undefined after it said what is wrong */
function readHash(options: readonly string[]): SignatureHash | undefined {
  let wanted: string = signatureHashes[0]
  for (const option of options) {
    const value = /^hashalg=(.*)$/i.exec(option)?.[1]
    if (value === undefined) {
      complain(`Invalid option "${option}"`)
      return undefined
    }
    wanted = value
  }
  const known = signatureHashes.find(name => name === wanted)
  if (!known) complain(`Signing failed: unsupported hash algorithm "${wanted}"`)
  return known
}

/** The agent's key, when there is an agent that has it. -U asks for it. */
async function agentSigner(
  subject: LoadedKey,
  { flags }: Settings,
): Promise<{ signer: Signer; close(): void } | undefined> {
  const agent = await reachAgent().catch(() => undefined)
  if (!agent) return flags.has('U') ? fatal("Couldn't get agent socket") : undefined
  const signers = await agent.client.signers().catch(() => [])
  const blob = subject.certificate?.blob ?? subject.key.blob
  const found = signers.find(signer => signer.blob.equals(blob))
  if (found) return { signer: found, close: () => agent.close() }
  agent.close()
  return flags.has('U') ? fatal("Couldn't find key in agent") : undefined
}

/** The private half of a key file, or of what its name without `.pub` or `-cert.pub` names. */
async function fileSigner(path: string, subject: LoadedKey, settings: Settings): Promise<Signer | undefined> {
  const privatePath = path.replace(/(-cert)?\.pub$/, '')
  let opened: LoadedPrivate
  try {
    opened = await openPrivate(privatePath, '')
  } catch (error) {
    if (!needsPassphrase(error)) {
      const missing = systemErrorText(error) === 'No such file or directory' && privatePath !== path
      return fatal(
        missing ? `No private key found for public key "${path}"` : `No private key found for "${privatePath}"`,
      )
    }
    opened = await loadIdentity(privatePath, settings)
  }
  if (!opened.key.publicKey.equals(subject.key)) {
    complain(`Public key ${path} doesn't match private ${privatePath}`)
    return undefined
  }
  const signer = keySigner(opened.key)
  return subject.certificate ? certifiedSigner(signer, subject.certificate) : signer
}

async function signOne(
  path: string,
  signer: Signer,
  namespace: string,
  hash: SignatureHash,
  { quiet }: Settings,
): Promise<boolean> {
  const standard = path === '-'
  let fd: number
  try {
    fd = standard ? 0 : openSync(path, 'r')
  } catch (error) {
    complain(`Cannot open ${path} for signing: ${problemOf(error)}`)
    return false
  }
  if (!quiet) complain(standard ? 'Signing data on standard input' : `Signing file ${path}`)
  let armoured: string
  try {
    armoured = formatSshSignature(await signMessage(signer, { namespace, hash, digest: hashInput(fd, hash) }))
  } catch (error) {
    complain(`Signing ${standard ? '(stdin)' : path} failed: ${problemOf(error)}`)
    return false
  } finally {
    if (!standard) closeSync(fd)
  }
  if (standard) {
    print(armoured)
    return true
  }
  const out = `${path}.sig`
  if (!confirmOverwrite(out)) return true
  try {
    writeOutput(out, armoured, 0o666 & ~process.umask())
  } catch (error) {
    complain(`Cannot open ${out}: ${problemOf(error)}`)
    return false
  }
  if (!quiet) complain(`Write signature to ${out}`)
  return true
}

/** Hashes what a file descriptor gives, without holding it. @throws what the system says */
export function hashInput(fd: number, hash: SignatureHash): Buffer {
  const state = startMessageHash(hash)
  for (const chunk of readChunks(fd)) state.update(chunk)
  return state.digest()
}
