import { finalName, recordType, sameName } from './message.ts'
import { loadResolverConfig, type ResolverConfig } from './resolv-conf.ts'
import { askDns } from './resolver.ts'

/**
 * The SSHFP records of a name, asked for as it stands. `secure` is the resolver's word, which counts where resolv.conf
 * has `options trust-ad`. @returns ssh's words for a failure
 */
export async function lookUpSshfp(
  host: string,
  config: ResolverConfig = loadResolverConfig({ env: process.env }),
): Promise<{ readonly records: readonly Buffer[]; readonly secure: boolean } | { readonly failure: string }> {
  const outcome = await askDns({ name: host.replace(/\.$/, ''), type: recordType.sshfp }, config)
  if (outcome.kind !== 'answer')
    return { failure: outcome.kind === 'no-name' ? 'name does not exist' : 'general failure' }
  const { response, authentic } = outcome
  if (response.answers.length === 0) return { failure: 'data does not exist' }
  const owner = finalName(response)
  const records = response.answers.filter(({ type, name }) => type === recordType.sshfp && sameName(name, owner))
  return { records: records.map(({ data }) => data), secure: authentic }
}
