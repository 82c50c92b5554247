import type { HostKeyEvidence } from '../../lib/transport/transport.ts'
import type { Credentials } from '../../lib/userauth/credentials.ts'
import { type IdentityOptions, identities } from '../identity/identities.ts'
import { agentPathOf } from '../net/agent-socket.ts'
import { expandConfigPath, type SshConfig } from '../openssh/resolve-ssh-config.ts'
import type { OpenOptions } from './options.ts'
import { fingerprintHashOf } from './verification.ts'

/** The order in which ssh tries methods when it is not told another one. */
const preferredMethods = ['publickey', 'keyboard-interactive', 'password'] as const

/** The agent's socket by IdentityAgent or the environment. */
export function agentSocketOf(config: SshConfig, env: OpenOptions['env']): string | undefined {
  const agent = config.identityAgent ?? 'SSH_AUTH_SOCK'
  if (agent === 'none') return undefined
  if (agent === 'SSH_AUTH_SOCK') return agentPathOf(env)
  return (agent.startsWith('$') ? env[agent.slice(1)] : expandConfigPath(config, agent)) || undefined
}

/** The socket that ForwardAgent lets the host use; undefined for none. */
export function forwardedAgentOf(config: SshConfig, env: OpenOptions['env']): string | undefined {
  const { forwardAgent } = config
  if (typeof forwardAgent !== 'string') return forwardAgent ? agentSocketOf(config, env) : undefined
  return (forwardAgent.startsWith('$') ? env[forwardAgent.slice(1)] : forwardAgent) || undefined
}

/** Which keys there are, by configuration; `ask` is undefined when nobody may be asked. */
export function identityOptionsOf(
  { config, log, ask, env }: Pick<OpenOptions, 'config' | 'log' | 'ask' | 'env'>,
  hostKeyEvidence?: HostKeyEvidence,
): IdentityOptions {
  const expand = (files: readonly string[]): string[] =>
    files.filter(file => file !== 'none').map(file => expandConfigPath(config, file))
  return {
    files: expand(config.identityFile),
    certificateFiles: expand(config.certificateFile),
    filesAreExplicit: config.history.some(({ property }) => property === 'identityFile'),
    identitiesOnly: config.identitiesOnly,
    agentSocket: agentSocketOf(config, env),
    hostKeyEvidence,
    ask,
    passphrasePrompts: config.numberOfPasswordPrompts,
    requiredRsaBits: config.requiredRSASize,
    acceptedAlgorithms: config.pubkeyAcceptedAlgorithms,
    fingerprintHash: fingerprintHashOf(config),
    addKeysToAgent: config.addKeysToAgent,
    env,
    log,
  }
}

/** What the user can prove himself with, by configuration, terminal and agent. */
export function credentialsOf(
  { config, log, ask: maybeAsk, print, env }: OpenOptions,
  hostKeyEvidence: () => HostKeyEvidence | undefined,
): Credentials {
  const ask = config.batchMode ? undefined : maybeAsk
  const enabled: Readonly<Record<string, boolean>> = {
    publickey: config.pubkeyAuthentication !== 'no',
    'keyboard-interactive': config.kbdInteractiveAuthentication && ask !== undefined,
    password: config.passwordAuthentication && ask !== undefined,
  }
  const isQuiet = ['QUIET', 'FATAL', 'ERROR'].includes(config.logLevel)
  return {
    user: config.user,
    methods: (config.preferredAuthentications ?? preferredMethods).filter(name => enabled[name]),
    passwordPrompts: config.numberOfPasswordPrompts,
    signatureAlgorithms: config.pubkeyAcceptedAlgorithms,
    fingerprintHash: fingerprintHashOf(config),
    ...(config.kbdInteractiveDevices !== undefined && {
      keyboardInteractiveSubmethods: config.kbdInteractiveDevices,
    }),
    signers: () => identities(identityOptionsOf({ config, log, ask, env }, hostKeyEvidence())),
    banner: text => {
      if (!isQuiet) print(text.replace(/\n$/, ''))
    },
    ...(ask && {
      async password(attempt: number) {
        if (attempt > 1) print('Permission denied, please try again.')
        return ask(`${config.user}@${config.host}'s password: `, { echo: false })
      },
      async newPassword(prompt: string) {
        if (prompt) print(prompt)
        const target = `${config.user}@${config.host}`
        const old = await ask(`Enter ${target}'s old password: `, { echo: false })
        for (;;) {
          const fresh = await ask(`Enter ${target}'s new password: `, { echo: false })
          if (old === undefined || fresh === undefined || fresh === '') return undefined
          const again = await ask(`Retype ${target}'s new password: `, { echo: false })
          if (again === fresh) return { old, new: fresh }
          if (again === undefined) return undefined
          print('Mismatch; try again.')
        }
      },
      async keyboardInteractive(
        name: string,
        instruction: string,
        prompts: readonly { text: string; echo: boolean }[],
      ) {
        if (name) print(name)
        if (instruction) print(instruction)
        const answers: string[] = []
        for (const { text, echo } of prompts) {
          const answer = await ask(`(${config.user}@${config.host}) ${text}`, { echo })
          if (answer === undefined) return undefined
          answers.push(answer)
        }
        return answers
      },
    }),
  }
}
