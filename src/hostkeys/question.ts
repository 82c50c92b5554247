import { type FingerprintHash, fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { readTextFile } from '../openssh/files.ts'
import { lookUpKey } from '../openssh/known-hosts.ts'

/** Asks; undefined when nobody can be asked. */
export type AskLine = (question: string) => Promise<string | undefined>

export interface NewHostQuestion {
  /** As known_hosts names it. */
  readonly name: string
  /** Where the connection went, in the same form. */
  readonly place: string
  readonly key: PublicKey
  readonly fingerprintHash: FingerprintHash
  readonly visual: boolean
  /** A line on what the DNS says (VerifyHostKeyDNS). */
  readonly dnsLine: string | undefined
  /** Lines on the other names of the key. */
  readonly otherNames: readonly string[]
}

/** Other names of a key that are shown. */
const maxOtherNames = 8

/** Whether the user takes the key of a host that is not known. */
export function confirmNewHost(ask: AskLine, question: NewHostQuestion): Promise<boolean> {
  const { name, place, key, fingerprintHash, visual, dnsLine, otherNames } = question
  const shown = fingerprint(key.blob, fingerprintHash)
  const lines = [
    `The authenticity of host '${name} (${place})' can't be established.`,
    `${key.label} key fingerprint is: ${shown}`,
    ...(visual ? [randomart(key, fingerprintHash)] : []),
    ...(dnsLine === undefined ? [] : [dnsLine]),
    ...otherNames,
    'Are you sure you want to continue connecting (yes/no/[fingerprint])? ',
  ]
  return confirm(ask, lines.join('\n'), shown)
}

/** Asks until the answer is one: yes (or the fingerprint), no, or nothing. */
export async function confirm(ask: AskLine, question: string, shown?: string): Promise<boolean> {
  const again = shown === undefined ? "Please type 'yes' or 'no': " : "Please type 'yes', 'no' or the fingerprint: "
  for (let text = question; ; text = again) {
    const answer = (await ask(text))?.trim().split(/\s/, 1)[0]
    if (answer === undefined || answer === '' || answer.toLowerCase() === 'no') return false
    if (answer.toLowerCase() === 'yes' || answer === shown) return true
  }
}

/** What the files say of a key under names other than the host's. */
export function otherNamesOf(
  key: PublicKey,
  files: readonly string[],
  { host, port }: { readonly host: string; readonly port: number },
): string[] {
  const names = files.flatMap(file => {
    const found = [...lookUpKey(readTextFile(file) ?? '', key, host, port)]
    return found.map(({ hosts, line }) => `    ${file}:${line}: ${hosts.startsWith('|') ? '[hashed name]' : hosts}`)
  })
  if (names.length === 0) return ['This key is not known by any other names.']
  const shown = names.slice(0, maxOtherNames)
  if (names.length > shown.length) shown.push(`    (${names.length - shown.length} additional names omitted)`)
  return ['This host key is known by the following other names/addresses:', ...shown]
}
