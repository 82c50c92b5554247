import type { Log } from '../../lib/log.ts'
import { identityOptionsOf } from '../../src/connect/credentials.ts'
import { describeIdentities } from '../../src/identity/identities.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'

/** `-Z`: the public keys that would be tried, a line for each. */
export async function listKeys(config: SshConfig, log: Log): Promise<string> {
  const lines = await describeIdentities(identityOptionsOf({ config, log, ask: undefined, env: process.env }))
  return lines.map(line => `${line}\n`).join('')
}
