/** What a login may do: from authorized_keys options and certificate extensions, the stricter rule of each. */
export interface Permissions {
  readonly forceCommand?: string
  readonly environment?: ReadonlyMap<string, string>
  readonly pty?: boolean
  readonly userRc?: boolean
  readonly x11Forwarding?: boolean
  readonly agentForwarding?: boolean
  readonly portForwarding?: boolean
  /** Tunnel devices; which of them is given, says `tunnel`. */
  readonly tunnels?: boolean
  readonly permitOpen?: readonly string[]
  readonly permitListen?: readonly string[]
  readonly tunnel?: number
}

/**
 * What a login may do that took several methods: the stricter rule of each, since every factor's restrictions stand. An
 * absent rule restricts nothing. Undefined when the two contradict each other, and then nobody may be let in.
 */
export function mergePermissions(first: Permissions, second: Permissions): Permissions | undefined {
  for (const exclusive of ['forceCommand', 'tunnel'] as const) {
    const [one, other] = [first[exclusive], second[exclusive]]
    if (one !== undefined && other !== undefined && one !== other) return undefined
  }
  const merged: { -readonly [Name in keyof Permissions]: Permissions[Name] } = { ...second, ...first }
  for (const flag of ['pty', 'userRc', 'x11Forwarding', 'agentForwarding', 'portForwarding', 'tunnels'] as const) {
    if (second[flag] === false) merged[flag] = false
  }
  for (const list of ['permitOpen', 'permitListen'] as const) {
    const [one, other] = [first[list], second[list]]
    if (one && other) merged[list] = one.filter(entry => other.includes(entry))
  }
  if (first.environment && second.environment) {
    merged.environment = new Map([...second.environment, ...first.environment])
  }
  return merged
}
