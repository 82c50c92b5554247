import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { type SshOptions, sshKeywords } from '../../src/openssh/ssh-config.ts'

type Property = keyof SshOptions

/** Without these the connection would go another way, or trust more, than the configuration says: refused. */
const needed = ['proxyUseFdpass'] as const satisfies readonly Property[]

/** Their absence is felt but harmless: said once. */
const missed = [
  'forwardX11',
  'controlMaster',
  'tunnel',
  'pkcs11Provider',
  'hostbasedAuthentication',
  'gssapiAuthentication',
] as const satisfies readonly Property[]

const isSet = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.length > 0
    : value !== undefined && value !== false && value !== 'no' && value !== 0 && value !== 'none'

/** Says which options of the configuration have no effect. @throws CommandError for one that must not be ignored */
export function reportUnsupported(config: SshConfig, log: Log): void {
  for (const property of needed) {
    if (isSet(config[property]))
      throw new CommandError(`tssh: ${sshKeywords[property].name} is not supported by this release.`, 255)
  }
  for (const property of missed) {
    if (isSet(config[property]))
      log.info?.(`Warning: ${sshKeywords[property].name} is not supported by this release and has no effect.`)
  }
  if (config.securityKeyProvider !== undefined && config.securityKeyProvider !== 'internal')
    log.info?.('Warning: SecurityKeyProvider is not supported by this release and has no effect.')
}
