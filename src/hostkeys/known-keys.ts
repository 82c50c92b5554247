import type { PublicKey } from '../../lib/keys/public-key.ts'
import { readTextFile } from '../openssh/files.ts'
import { hostName, type KnownHost, type KnownX509, lookUpHost, lookUpX509 } from '../openssh/known-hosts.ts'

/** Why KnownHostsCommand runs: to order the algorithms, or to judge a key by the host's name or address. */
export type LookupReason = 'ORDER' | 'HOSTNAME' | 'ADDRESS'

/** Where known keys are looked up. */
export interface KnownKeySources {
  readonly userKnownHostsFiles: readonly string[]
  readonly globalKnownHostsFiles: readonly string[]
  /** More lines of known_hosts, which a program gives (KnownHostsCommand). @throws to refuse every key */
  knownHostsCommand?(reason: LookupReason, name: string, key: PublicKey | undefined): Promise<string>
}

/** From where something is known. */
interface Origin {
  readonly file: string
  readonly source: 'user' | 'system' | 'command'
}

/** A key that is known for a host, and from where. */
export type Found = KnownHost & Origin

/** The same of X.509 certificates. */
export type FoundX509 = KnownX509 & Origin

interface Text extends Origin {
  readonly text: string
}

function textsOfFiles({ userKnownHostsFiles, globalKnownHostsFiles }: KnownKeySources): Text[] {
  const from = (source: 'user' | 'system') => (file: string) => {
    const text = readTextFile(file)
    return text === undefined ? [] : [{ text, file, source }]
  }
  return [...userKnownHostsFiles.flatMap(from('user')), ...globalKnownHostsFiles.flatMap(from('system'))]
}

const keysIn = (texts: readonly Text[], host: string, port: number): Found[] =>
  texts.flatMap(({ text, ...origin }) => [...lookUpHost(text, host, port)].map(entry => ({ ...entry, ...origin })))

/** Those of the host's name alone where its port has none. */
function x509In(texts: readonly Text[], host: string, port: number): FoundX509[] {
  const found = texts.flatMap(({ text, ...origin }) =>
    // Few files have any.
    text.includes('x509v3-') ? [...lookUpX509(text, host, port)].map(entry => ({ ...entry, ...origin })) : [],
  )
  return found.length > 0 || port === 22 ? found : x509In(texts, host, 22)
}

export const findInFiles = (sources: KnownKeySources, host: string, port: number): Found[] =>
  keysIn(textsOfFiles(sources), host, port)

/** All that is known of a host. */
export interface Known {
  readonly keys: readonly Found[]
  readonly x509: readonly FoundX509[]
}

/** All that files and the command say of a host. @throws what the command does */
export async function findEverywhere(
  sources: KnownKeySources,
  reason: LookupReason,
  { host, port }: { readonly host: string; readonly port: number },
  key?: PublicKey,
): Promise<Known> {
  const texts = textsOfFiles(sources)
  const text = await sources.knownHostsCommand?.(reason, hostName(host, port), key)
  if (text !== undefined) texts.push({ text, file: `KnownHostsCommand-${reason}`, source: 'command' })
  return { keys: keysIn(texts, host, port), x509: x509In(texts, host, port) }
}
