import type { Log } from '../../lib/log.ts'
import { matchPattern } from '../openssh/pattern.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'

/** The variables that a session is given: SetEnv, then those that SendEnv names. */
export function sessionEnvironment(
  { setEnv, sendEnv }: Pick<SshConfig, 'setEnv' | 'sendEnv'>,
  env: Readonly<Record<string, string | undefined>>,
  log: Log,
): [string, string][] {
  const set = setEnv.map(({ name, value }): [string, string] => [name, value])
  const sent = Object.entries(env).flatMap(([name, value]): [string, string][] =>
    value !== undefined &&
    sendEnv.some(pattern => matchPattern(name, pattern)) &&
    !set.some(([taken]) => taken === name)
      ? [[name, value]]
      : [],
  )
  for (const [name, value] of [...set, ...sent]) log.debug1?.(`channel 0: setting env ${name} = "${value}"`)
  return [...set, ...sent]
}
