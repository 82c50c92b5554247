import { type LoadSshConfigOptions, loadSshConfigWithDns } from '../openssh/load.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'

/** The configuration of this machine for one host, whose name is made canonical where it says so. @throws ConfigError */
export function loadHostConfig(options: LoadSshConfigOptions): Promise<SshConfig> {
  return loadSshConfigWithDns(options, async request =>
    (await import('../net/canonical-name.ts')).canonicalName(request),
  )
}
