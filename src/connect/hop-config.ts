import type { JumpHost } from '../openssh/forwarding.ts'
import type { LoadSshConfigOptions } from '../openssh/load.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'
import { loadHostConfig } from './host-config.ts'

/**
 * The configuration of a host on the way (ProxyJump): its own, as if it were the destination; `before` are the hosts
 * before it. Of the command line only the choice of the file goes on, as with ssh. @throws ConfigError
 */
export function hopConfig(
  { user, host, port }: JumpHost,
  before: readonly string[],
  load: Pick<LoadSshConfigOptions, 'file' | 'env' | 'exec' | 'log'> = {},
): Promise<SshConfig> {
  return loadHostConfig({
    ...load,
    host,
    ...(user !== undefined && { user }),
    options: [
      ...(port === undefined ? [] : [`Port ${port}`]),
      ...(before.length > 0 ? [`ProxyJump ${before.join(',')}`] : []),
      'ForwardAgent no',
      'ClearAllForwardings yes',
      'SessionType none',
    ],
  })
}
