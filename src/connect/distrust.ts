import { HostKeyError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'

/**
 * What a host that may be another one must not get, though its key was accepted (StrictHostKeyChecking no): whatever
 * would open the right one, and ways to anything else. Takes the methods that tell secrets out of `methods`, and says
 * so. @throws HostKeyError when forwards were wanted without fail (ExitOnForwardFailure)
 */
export function distrust(config: SshConfig, methods: string[], log: Log): void {
  const withheld = [
    ['Password authentication', config.passwordAuthentication],
    ['Keyboard-interactive authentication', config.kbdInteractiveAuthentication],
    ['Agent forwarding', config.forwardAgent !== false],
    ['X11 forwarding', config.forwardX11],
    ['Port forwarding', config.localForward.length + config.remoteForward.length + config.dynamicForward.length > 0],
    ['Tunnel forwarding', config.tunnel !== 'no'],
  ] as const
  const wanted = withheld.filter(([, isWanted]) => isWanted)
  for (const [what] of wanted) log.error(`${what} is disabled to avoid man-in-the-middle attacks.`)
  for (const name of ['password', 'keyboard-interactive'])
    if (methods.includes(name)) methods.splice(methods.indexOf(name), 1)
  if (config.updateHostKeys !== 'no') log.error('UpdateHostkeys is disabled because the host key is not trusted.')
  if (config.exitOnForwardFailure && wanted.length > 0)
    throw new HostKeyError('changed', 'Error: forwarding disabled due to host key check failure')
}
