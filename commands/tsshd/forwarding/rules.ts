import { matchWildcards } from '../../../lib/keys/wildcards.ts'
import type { Permissions } from '../../../lib/userauth/permissions.ts'
import { type PermittedAddress, parsePermittedAddress } from '../../../src/openssh/permitted-address.ts'
import type { SshdOptions } from '../../../src/openssh/sshd-config.ts'

/** What of forwarding a login may do: the configuration and its own key or certificate must both allow it. */
export interface ForwardingRules {
  /** Connections from here, and listening here. */
  readonly tcp: Direction
  readonly streamLocal: Direction
  readonly agent: boolean
  mayOpen(host: string, port: number): boolean
  mayOpenPath(path: string): boolean
  mayListen(host: string, port: number): boolean
}

export interface Direction {
  readonly local: boolean
  readonly remote: boolean
}

type Choice = SshdOptions['allowTcpForwarding']

/** No port: the target is a socket's path. */
const pathPort = -2

/** Whether AllowTcpForwarding or AllowStreamLocalForwarding lets forwarding go this way. */
export const allowsForwarding = (choice: Choice, way: 'local' | 'remote'): boolean => choice === 'yes' || choice === way

export function forwardingRules(options: SshdOptions, permissions: Permissions): ForwardingRules {
  const allowed = permissions.portForwarding !== false && !options.disableForwarding
  const direction = (choice: Choice): Direction => ({
    local: allowed && allowsForwarding(choice, 'local'),
    remote: allowed && allowsForwarding(choice, 'remote'),
  })
  const open = [configured(options.permitOpen), permissions.permitOpen]
  const listen = [configured(options.permitListen), permissions.permitListen]
  return {
    tcp: direction(options.allowTcpForwarding),
    streamLocal: direction(options.allowStreamLocalForwarding),
    agent: permissions.agentForwarding !== false && options.allowAgentForwarding && !options.disableForwarding,
    mayOpen: (host, port) => open.every(list => permits(list, port, name => name === host)),
    mayOpenPath: path => open.every(list => permits(list, pathPort, name => name === path)),
    mayListen(host, port) {
      const asked = host.toLowerCase()
      return listen.every(list => permits(list, port, pattern => matchWildcards(asked, pattern)))
    },
  }
}

/** A list of PermitOpen or PermitListen: `any` restricts nothing, `none` is the empty list. */
function configured(list: readonly string[]): readonly string[] | undefined {
  if (list[0] === 'any') return undefined
  return list[0] === 'none' ? [] : list
}

/** Without a list, everything is permitted; with an empty one, nothing. */
function permits(list: readonly string[] | undefined, port: number, isHost: (name: string) => boolean): boolean {
  if (!list) return true
  return list.some(spec => {
    const address: PermittedAddress | string = parsePermittedAddress(spec)
    if (typeof address === 'string') return false
    return (address.host === '*' || isHost(address.host)) && (address.port === '*' || address.port === port)
  })
}
