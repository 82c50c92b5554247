import type { PublicKey } from '../../lib/keys/public-key.ts'
import { readTextFile } from '../openssh/files.ts'
import { hostName, type KnownHost, lookUpHost } from '../openssh/known-hosts.ts'

/** Why KnownHostsCommand runs: to order the algorithms, or to judge a key by the host's name or address. */
export type LookupReason = 'ORDER' | 'HOSTNAME' | 'ADDRESS'

/** Where known keys are looked up. */
export interface KnownKeySources {
  readonly userKnownHostsFiles: readonly string[]
  readonly globalKnownHostsFiles: readonly string[]
  /** More lines of known_hosts, which a program gives (KnownHostsCommand). @throws to refuse every key */
  knownHostsCommand?(reason: LookupReason, name: string, key: PublicKey | undefined): Promise<string>
}

/** A key that is known for a host, and from where. */
export interface Found extends KnownHost {
  readonly file: string
  readonly source: 'user' | 'system' | 'command'
}

export function findInFiles(sources: KnownKeySources, host: string, port: number): Found[] {
  const from = (source: 'user' | 'system') => (file: string) => {
    const text = readTextFile(file)
    return text === undefined ? [] : [...lookUpHost(text, host, port)].map(entry => ({ ...entry, file, source }))
  }
  return [
    ...sources.userKnownHostsFiles.flatMap(from('user')),
    ...sources.globalKnownHostsFiles.flatMap(from('system')),
  ]
}

/** All that files and the command say of a host. @throws what the command does */
export async function findEverywhere(
  sources: KnownKeySources,
  reason: LookupReason,
  { host, port }: { readonly host: string; readonly port: number },
  key?: PublicKey,
): Promise<Found[]> {
  const found = findInFiles(sources, host, port)
  const text = await sources.knownHostsCommand?.(reason, hostName(host, port), key)
  if (text !== undefined) {
    for (const entry of lookUpHost(text, host, port))
      found.push({ ...entry, file: `KnownHostsCommand-${reason}`, source: 'command' })
  }
  return found
}
