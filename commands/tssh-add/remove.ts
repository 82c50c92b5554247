import type { AgentClient } from '../../lib/agent/client.ts'
import { type KeyOrCertificateLine, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { CommandError } from '../../src/command/errors.ts'
import { readStdin } from '../../src/terminal/stdin.ts'
import type { AddCommandLine } from './command-line.ts'
import { problemText, say } from './problems.ts'
import { loadPublic, readCertificateBeside } from './public-file.ts'

/** Longest list of keys on stdin, in bytes. */
const listLimit = 64 * 1024 * 1024

/** Removes the key that a file names, and the certificate beside it. @returns whether anything was removed */
export async function removeFile(client: AgentClient, file: string, line: AddCommandLine): Promise<boolean> {
  if (file === '-') return removeListed(client, readStdin(listLimit).toString(), line)
  let named: KeyOrCertificateLine
  try {
    named = loadPublic(file)
  } catch (error) {
    process.stdout.write(`Bad key file ${file}: ${problemText(error)}\n`)
    return false
  }
  const removed = isWanted(named, line) && (await removeOne(client, named, file, line.quiet))
  if (!line.certificates) return removed
  const path = `${file}-cert.pub`
  try {
    const certified = readCertificateBeside(path)
    if (!certified) return removed
    if (!certified.key.equals(named.key))
      throw new CommandError(`Certificate ${path} does not match private key ${file}`, 255)
    return (await removeOne(client, certified, path, line.quiet)) || removed
  } catch (error) {
    if (error instanceof CommandError) throw error
    say(`Failed to load certificate "${path}": ${problemText(error)}`)
    return removed
  }
}

async function removeListed(client: AgentClient, text: string, line: AddCommandLine): Promise<boolean> {
  let removed = false
  for (const [index, entry] of text.split('\n').entries()) {
    if (/^[ \t]*(#|$)/.test(entry)) continue
    try {
      const named = parseKeyOrCertificateLine(entry)
      if (isWanted(named, line) && (await removeOne(client, named, '(stdin)', line.quiet))) removed = true
    } catch (error) {
      say(`(stdin):${index + 1}: invalid key: ${problemText(error)}`)
    }
  }
  return removed
}

const isWanted = ({ certificate }: KeyOrCertificateLine, { keys, certificates }: AddCommandLine): boolean =>
  certificate ? certificates : keys

async function removeOne(
  client: AgentClient,
  { key, certificate, comment }: KeyOrCertificateLine,
  path: string,
  quiet: boolean,
): Promise<boolean> {
  try {
    await client.remove(certificate?.blob ?? key.blob)
  } catch (error) {
    say(`Could not remove identity "${path}": ${problemText(error)}`)
    return false
  }
  if (!quiet) say(`Identity removed: ${path} ${key.label}${certificate ? '-CERT' : ''} (${comment || 'no comment'})`)
  return true
}

export async function removeAll(client: AgentClient, quiet: boolean): Promise<boolean> {
  try {
    await client.removeAll()
  } catch {
    say('Failed to remove all identities.')
    return false
  }
  if (!quiet) say('All identities removed.')
  return true
}
