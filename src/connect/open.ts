import type { Socket } from 'node:net'
import { type Client, openClient } from '../../lib/client.ts'
import { AuthenticationError, DisconnectReason } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { ClientAuthentication, Credentials } from '../../lib/userauth/client.ts'
import { softwareVersion } from '../command/version.ts'
import { hostKeyVerifier, knownKeyTypes, preferKnownTypes } from '../hostkeys/verifier.ts'
import type { Ask } from '../identity/ask.ts'
import { identities } from '../identity/identities.ts'
import { joinStream } from '../net/socket.ts'
import { connectTcp } from '../net/tcp.ts'
import { expandConfigPath, type SshConfig } from '../openssh/resolve-ssh-config.ts'
import { algorithmsOf } from './algorithms.ts'

export interface OpenOptions {
  readonly config: SshConfig
  readonly log: Log
  /** Undefined when nobody can be asked. */
  readonly ask: Ask | undefined
  /** A line for the user: warnings and banners. */
  print(text: string): void
  readonly env: Readonly<Record<string, string | undefined>>
  /** More ways to prove who the user is, or other ones. */
  readonly credentials?: Partial<Credentials>
}

export interface OpenedConnection {
  readonly client: Client
  readonly socket: Socket
  readonly authentication: ClientAuthentication
}

/** The order in which ssh tries methods when it is not told another one. */
const preferredMethods = ['publickey', 'keyboard-interactive', 'password'] as const

/** Reaches the host that the configuration names, checks it, and logs in. @throws SshError */
export async function openConnection(options: OpenOptions): Promise<OpenedConnection> {
  const { config, log } = options
  const socket = await connectTcp({
    host: config.hostName,
    port: config.port,
    family: config.addressFamily,
    keepAlive: config.tcpKeepAlive,
    ...(config.connectTimeout !== undefined && { connectTimeout: config.connectTimeout }),
    ...(config.bindAddress !== undefined && { bindAddress: config.bindAddress }),
    log,
  })
  const verification = {
    host: config.hostName,
    port: config.port,
    ...(socket.remoteAddress !== undefined && { address: socket.remoteAddress }),
    strictHostKeyChecking: config.strictHostKeyChecking,
    userKnownHostsFiles: config.userKnownHostsFile
      .filter(file => file !== 'none')
      .map(file => expandConfigPath(config, file)),
    globalKnownHostsFiles: config.globalKnownHostsFile.filter(file => file !== 'none'),
    hashKnownHosts: config.hashKnownHosts,
    ...(config.hostKeyAlias !== undefined && { hostKeyAlias: config.hostKeyAlias }),
    ask: (question: string) => options.ask?.(question, { echo: true }) ?? Promise.resolve(undefined),
    print: options.print,
    log,
  }
  const link = joinStream(socket)
  const client = openClient({
    transport: {
      algorithms: algorithmsOf({
        kex: config.kexAlgorithms,
        hostKey: preferKnownTypes(config.hostKeyAlgorithms, knownKeyTypes(verification)),
        cipher: config.ciphers,
        mac: config.macs,
        compression: config.compression,
      }),
      softwareVersion: softwareVersion(),
      ...(config.versionAddendum !== undefined && { versionComment: config.versionAddendum }),
      verifyHostKey: hostKeyVerifier(verification),
      requiredRsaBits: config.requiredRSASize,
      rekeyLimit: {
        ...(config.rekeyLimit.bytes && { bytes: Number(config.rekeyLimit.bytes) }),
        ...(config.rekeyLimit.seconds && { seconds: config.rekeyLimit.seconds }),
      },
    },
    credentials: { ...credentialsOf(options), ...options.credentials },
    log,
    output: chunks => link.output(chunks),
  })
  client.closed.then(() => socket.end())
  link.attach(client)
  await client.keyExchange
  log.debug1?.(`Authenticating to ${config.hostName}:${config.port} as '${config.user}'`)
  try {
    const authentication = await client.authentication
    log.verbose?.(
      `Authenticated to ${config.hostName} ([${socket.remoteAddress}]:${config.port}) using "${authentication.method}".`,
    )
    return { client, socket, authentication }
  } catch (error) {
    if (error instanceof AuthenticationError)
      client.transport.disconnect(DisconnectReason.noMoreAuthMethodsAvailable, 'No more authentication methods')
    socket.end()
    throw error
  }
}

function credentialsOf({ config, log, ask: maybeAsk, print, env }: OpenOptions): Credentials {
  const ask = config.batchMode ? undefined : maybeAsk
  const enabled: Readonly<Record<string, boolean>> = {
    publickey: config.pubkeyAuthentication !== 'no',
    'keyboard-interactive': config.kbdInteractiveAuthentication && ask !== undefined,
    password: config.passwordAuthentication && ask !== undefined,
  }
  const agent = config.identityAgent ?? env['SSH_AUTH_SOCK']
  const socketOf = (name: string): string | undefined =>
    name === 'none'
      ? undefined
      : name === 'SSH_AUTH_SOCK'
        ? env[name]
        : name.startsWith('$')
          ? env[name.slice(1)]
          : expandConfigPath(config, name)
  return {
    user: config.user,
    methods: (config.preferredAuthentications ?? preferredMethods).filter(name => enabled[name]),
    passwordPrompts: config.numberOfPasswordPrompts,
    signatureAlgorithms: config.pubkeyAcceptedAlgorithms,
    signers: () =>
      identities({
        files: config.identityFile.filter(file => file !== 'none').map(file => expandConfigPath(config, file)),
        filesAreExplicit: config.history.some(({ property }) => property === 'identityFile'),
        identitiesOnly: config.identitiesOnly,
        agentSocket: agent ? socketOf(agent) : undefined,
        ask,
        passphrasePrompts: config.numberOfPasswordPrompts,
        log,
      }),
    banner: text => {
      if (config.logLevel !== 'QUIET' && config.logLevel !== 'FATAL' && config.logLevel !== 'ERROR')
        print(text.replace(/\n$/, ''))
    },
    ...(ask && {
      async password(attempt: number) {
        if (attempt > 1) print('Permission denied, please try again.')
        return ask(`${config.user}@${config.host}'s password: `, { echo: false })
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
