import { opensshAlgorithmNames as names } from './algorithm-names.ts'
import { ConfigError } from './errors.ts'
import {
  type Endpoint,
  type Forward,
  formatForward,
  formatJumpHosts,
  type JumpHost,
  parseForward,
  parseJumpHosts,
  sameForward,
} from './forwarding.ts'
import { type Arguments, type Kind, keyword, type Options, optional } from './keyword.ts'
import { matchPattern } from './pattern.ts'
import { versionAddendum as serverAddendum } from './sshd-values.ts'
import { expandTokens } from './tokens.ts'
import * as kinds from './values.ts'

/** Keywords of ssh_config that are read and do nothing, with what OpenSSH says of each. */
export const formerSshKeywords: Readonly<Record<string, 'ignored' | 'deprecated' | 'unsupported'>> = {
  protocol: 'ignored',
  cipher: 'deprecated',
  fallbacktorsh: 'deprecated',
  globalknownhostsfile2: 'deprecated',
  rhostsauthentication: 'deprecated',
  userknownhostsfile2: 'deprecated',
  useroaming: 'deprecated',
  usersh: 'deprecated',
  useprivilegedport: 'deprecated',
  afstokenpassing: 'unsupported',
  kerberosauthentication: 'unsupported',
  kerberostgtpassing: 'unsupported',
  rsaauthentication: 'unsupported',
  rhostsrsaauthentication: 'unsupported',
  compressionlevel: 'unsupported',
}

/** Most files that IdentityFile or CertificateFile may name. */
export const maxIdentityFiles = 100
const maxKnownHostsFiles = 32
const keystrokeInterval = 20

const yes = ['true', 'yes']
const no = ['false', 'no']

export type Ask = 'yes' | 'no' | 'ask'
const yesNoAsk: Kind<Ask> = kinds.choice({ yes, no, ask: ['ask'] })

const port: Kind<number> = {
  parse(args: Arguments) {
    const word = args.need()
    return kinds.parsePort(word) || args.fail(`Bad port '${word}'.`)
  },
  print: String,
}

/** Files are gathered from all lines that apply, each once. */
function gatherFiles(sort: string) {
  return (current: readonly string[] | undefined, value: readonly string[]): readonly string[] => {
    const fresh = value.filter(path => !current?.includes(path))
    if (fresh.length === 0 && current) return current
    const all = [...(current ?? []), ...fresh]
    if (all.length > maxIdentityFiles)
      throw new ConfigError('', 0, `Too many ${sort} files specified (max ${maxIdentityFiles}).`)
    return all
  }
}

const file: Kind<readonly string[]> = {
  parse: (args: Arguments) => [args.need()],
  print: list => list,
  mapText: (list, change) => list.map(change),
}

function forwards(sort: 'local' | 'remote' | 'dynamic'): Kind<readonly Forward[]> {
  const mapEnd = (end: Endpoint, change: (text: string) => string): Endpoint =>
    'path' in end ? { path: change(end.path) } : end
  return {
    parse(args: Arguments) {
      const listen = args.need()
      const target = sort === 'dynamic' ? undefined : args.next()
      if (sort === 'local' && !target) args.fail('Missing target argument.')
      let spec: string
      try {
        spec = expandTokens(target ? `${listen}:${target}` : listen, undefined, args.settings.env)
      } catch {
        return args.fail('Bad forwarding specification.')
      }
      const forward = parseForward(spec, sort === 'remote' && !target ? 'remote' : sort)
      const fits = forward && (forward.connect === 'socks') === !target
      return fits ? [forward] : args.fail('Bad forwarding specification.')
    },
    print: list => list.map(forward => formatForward(forward, sort)),
    mapText: (list, change) =>
      list.map(({ listen, connect }) => ({
        listen: mapEnd(listen, change),
        connect: connect === 'socks' ? connect : mapEnd(connect, change),
      })),
  }
}

function gatherForwards(current: readonly Forward[] | undefined, value: readonly Forward[]): readonly Forward[] {
  const fresh = value.filter(forward => !current?.some(known => sameForward(known, forward)))
  return fresh.length === 0 && current ? current : [...(current ?? []), ...fresh]
}

/** What ForwardAgent says: on, off, or a socket or `$VARIABLE` of another agent. */
export type AgentChoice = boolean | string

const agentPath = (args: Arguments, word: string): string => {
  try {
    expandTokens(word, undefined, args.settings.env)
  } catch {
    args.fail(`Invalid environment expansion ${word}.`)
  }
  if (/^\$(?!\{)/.test(word) && !/^\$[A-Za-z0-9_]+$/.test(word)) args.fail(`Invalid environment name ${word}.`)
  return word
}

const forwardAgent: Kind<AgentChoice> = {
  parse(args: Arguments) {
    const word = args.need('missing argument.')
    const lower = word.toLowerCase()
    return yes.includes(lower) ? true : no.includes(lower) ? false : agentPath(args, word)
  },
  print: value => (typeof value === 'string' ? value : value ? 'yes' : 'no'),
  mapText: (value, change) => (typeof value === 'string' ? change(value) : value),
}

/** Whether used keys go to the agent, and for how long (0 seconds: for ever). */
export interface AddKeysToAgent {
  readonly mode: 'yes' | 'no' | 'ask' | 'confirm'
  readonly seconds: number
}

const addKeysToAgent: Kind<AddKeysToAgent> = {
  parse(args: Arguments) {
    const word = args.need('missing argument.').toLowerCase()
    const lifetime = args.next()
    const mode = yes.includes(word)
      ? 'yes'
      : no.includes(word)
        ? 'no'
        : (['ask', 'confirm'] as const).find(m => m === word)
    if (mode === 'confirm' && lifetime !== undefined) {
      return { mode, seconds: kinds.parseTime(lifetime) ?? args.fail('invalid time value.') }
    }
    if (mode && lifetime === undefined) return { mode, seconds: 0 }
    const seconds = mode || lifetime !== undefined ? undefined : kinds.parseTime(word)
    return seconds === undefined ? args.fail('unsupported option') : { mode: 'yes', seconds }
  },
  print({ mode, seconds }) {
    if (seconds > 0) return mode === 'confirm' ? `confirm ${seconds}` : `${seconds}`
    return { yes: 'true', no: 'false', ask: 'ask', confirm: 'confirm' }[mode]
  },
}

/** `false`, `true`: until told to stop, or seconds of idleness. */
const controlPersist: Kind<boolean | number> = {
  parse(args: Arguments) {
    const word = args.need('Missing ControlPersist argument.')
    if (word === 'no' || word === 'false') return false
    if (word === 'yes' || word === 'true') return true
    return kinds.parseTime(word) || (kinds.parseTime(word) === 0 ? true : args.fail('Bad ControlPersist argument.'))
  },
  print: value => (typeof value === 'number' ? `${value}` : value ? 'yes' : 'no'),
}

/** Numbers of the tun devices at both ends. */
export interface TunnelDevice {
  readonly local: number | 'any'
  readonly remote: number | 'any'
}

const maxTunnel = 0x7fffffff - 2

const tunnelDevice: Kind<TunnelDevice> = {
  parse(args: Arguments) {
    const word = args.need()
    const ends = word.includes(':')
      ? [word.slice(0, word.indexOf(':')), word.slice(word.indexOf(':') + 1)]
      : [word, 'any']
    const [local, remote] = ends.map(end => {
      if (end.toLowerCase() === 'any') return 'any'
      const number = kinds.parseInteger(end, maxTunnel)
      return typeof number === 'number' ? number : args.fail('Bad tun device.')
    })
    return { local: local!, remote: remote! }
  },
  print: ({ local, remote }) => `${local}:${remote}`,
}

/** The code of the character, or none. */
const escapeChar: Kind<number | 'none'> = {
  parse(args: Arguments) {
    const word = args.need()
    if (word === 'none') return 'none'
    if (word.length === 1 && word.charCodeAt(0) < 128) return word.charCodeAt(0)
    const code = /^\^[@-\x7f]$/.test(word) ? word.charCodeAt(1) & 31 : undefined
    return code ?? args.fail('Bad escape character.')
  },
  print(value) {
    if (value === 'none') return 'none'
    if (value === 0x20) return '\\040'
    if (value < 0x20) return `\\^${String.fromCharCode(value + 64)}`
    return value === 0x7f ? '\\^?' : value === 0x5c ? '\\\\' : String.fromCharCode(value)
  },
}

/** Milliseconds between packets; 0: off. */
const obscureKeystrokeTiming: Kind<number> = {
  parse(args: Arguments) {
    const word = args.next() ?? args.fail('missing argument')
    if (args.left > 0) args.fail('invalid arguments')
    if (word === 'yes' || word === 'true') return keystrokeInterval
    if (word === 'no' || word === 'false') return 0
    if (!word.startsWith('interval:')) args.fail(`unsupported argument "${word}"`)
    const value = kinds.parseInteger(word.slice('interval:'.length))
    if (typeof value === 'string') return args.fail(`integer value ${value}.`)
    return value > 0 && value <= 1000 ? value : args.fail('value out of range.')
  },
  print: value => (value === 0 ? 'no' : value === keystrokeInterval ? 'yes' : `${value}`),
}

const sendEnv: Kind<readonly string[]> = {
  parse(args: Arguments) {
    const list = args.all()
    if (list.some(word => word === '' || word.includes('='))) args.fail('Invalid environment name.')
    return list.length > 0 ? list : args.fail(`no ${args.keyword} specified`)
  },
  print: list => list,
}

/** `-NAME` takes away what earlier lines added. */
function mergeSendEnv(current: readonly string[] | undefined, value: readonly string[]): readonly string[] {
  let list = [...(current ?? [])]
  for (const word of value) {
    if (word.startsWith('-')) list = list.filter(known => !matchPattern(known, word.slice(1)))
    else list.push(word)
  }
  return list
}

/** Why a name is none of a host or domain. */
export function domainProblem(name: string): string | undefined {
  if (name === '') return 'empty domain name'
  if (!/^[a-z0-9_]/i.test(name)) return `domain name "${name}" starts with invalid character`
  const bad = /\.\.|[^a-z0-9._-]/i.exec(name)?.[0]
  if (bad === undefined) return undefined
  return `domain name "${name}" contains ${bad === '..' ? 'consecutive separators' : 'invalid characters'}`
}

const canonicalDomains: Kind<readonly string[]> = {
  parse(args: Arguments) {
    const list = args.all()
    if (list.length === 0) args.fail(`no ${args.keyword} specified`)
    if (list.length > 1 && list.some(word => word.toLowerCase() === 'none')) {
      args.fail(`keyword ${args.keyword} "none" argument must appear alone.`)
    }
    return list.map(word => {
      const problem = domainProblem(word)
      return problem === undefined ? word.toLowerCase().replace(/\.$/, '') : args.fail(problem)
    })
  },
  print: list => (list.length === 0 ? 'none' : list.join(' ')),
}

/** Names matching `source` may be replaced by CNAMEs matching `target`. */
export interface PermittedCname {
  readonly source: string
  readonly target: string
}

const permittedCnames: Kind<readonly PermittedCname[]> = {
  parse(args: Arguments) {
    const list = args.all()
    if (list.length === 0) args.fail(`no ${args.keyword} specified`)
    if (list.some(word => word.toLowerCase() === 'none')) {
      return list.length === 1 ? [] : args.fail(`keyword ${args.keyword} "none" argument must appear alone.`)
    }
    return list.map(word => {
      if (word === '*') return { source: '*', target: '*' }
      const rule = word.toLowerCase()
      const colon = rule.indexOf(':')
      if (colon < 0 || colon === rule.length - 1) args.fail(`Invalid permitted CNAME "${rule}"`)
      return { source: rule.slice(0, colon), target: rule.slice(colon + 1) }
    })
  },
  print: list => (list.length === 0 ? 'none' : list.map(rule => `${rule.source}:${rule.target}`).join(' ')),
}

/** `host:port` patterns; `any` or `none` alone. */
const permitRemoteOpen: Kind<readonly string[]> = {
  parse(args: Arguments) {
    const list = args.all()
    if (list.length === 0) args.fail(`missing ${args.keyword} specification`)
    for (const word of list) {
      if (/^(none|any)$/i.test(word)) {
        if (list.length > 1) args.fail(`keyword ${args.keyword} "${word}" argument must appear alone.`)
        continue
      }
      const match = /^(?:\[[^\]]*\]|[^:/]*)(?::(.*))?$/.exec(word)
      if (!match) args.fail(`missing host in ${args.keyword}`)
      if (match![1] === undefined || (match![1] !== '*' && !kinds.parsePort(match![1]))) {
        args.fail(`bad port number in ${args.keyword}`)
      }
    }
    return list
  },
  print: list => list.join(' '),
}

const proxyJump: Kind<readonly JumpHost[]> = {
  parse(args: Arguments) {
    const spec = args.raw()
    if (spec.toLowerCase() === 'none') return []
    const strict = args.line.file === commandLine
    return parseJumpHosts(spec, strict) ?? args.fail(`Invalid ProxyJump "${spec}"`)
  },
  print: hops => (hops.length === 0 ? undefined : formatJumpHosts(hops)),
}

/** Unlike a server's, an empty one is printed as it is. */
const versionAddendum: Kind<string> = { ...serverAddendum, print: kinds.text.print }

const revokedHostKeys: Kind<readonly string[]> = {
  ...kinds.words(),
  parse(args: Arguments) {
    if (args.left === 0) args.fail(`no ${args.keyword} specified`)
    const list = kinds.words().parse(args)!
    return list[0]!.toLowerCase() === 'none' ? [] : list
  },
}

/** Refuses to connect, with the text, as soon as a line applies. */
const refuseConnection: Kind<never> = {
  parse: (args: Arguments) => {
    args.need()
    return undefined
  },
  print: () => undefined,
}

/** The name of the source of `-o` lines. */
export const commandLine = 'command-line'

/**
 * The options of ssh_config(5), in the order in which `ssh -G` prints them. The first value that is set wins unless
 * the row says otherwise.
 */
export const sshKeywords = {
  user: optional('User', kinds.text, { tokens: 'user' }),
  hostName: optional('HostName', kinds.text),
  port: optional('Port', port),
  addressFamily: keyword('AddressFamily', kinds.addressFamily, 'any'),
  batchMode: keyword('BatchMode', kinds.flag, false),
  canonicalizeFallbackLocal: keyword('CanonicalizeFallbackLocal', kinds.flag, true),
  canonicalizeHostname: keyword('CanonicalizeHostname', kinds.choice({ no, yes, always: ['always'] }), 'no'),
  checkHostIP: keyword('CheckHostIP', kinds.flag, false),
  compression: keyword('Compression', kinds.flag, false),
  controlMaster: keyword(
    'ControlMaster',
    kinds.choice({ no, yes, auto: ['auto'], ask: ['ask'], autoask: ['autoask'] }),
    'no',
  ),
  enableSSHKeysign: keyword('EnableSSHKeysign', kinds.flag, false),
  clearAllForwardings: keyword('ClearAllForwardings', kinds.flag, false),
  exitOnForwardFailure: keyword('ExitOnForwardFailure', kinds.flag, false),
  fingerprintHash: keyword('FingerprintHash', kinds.fingerprintHash, 'SHA256'),
  forwardX11: keyword('ForwardX11', kinds.flag, false),
  forwardX11Trusted: keyword('ForwardX11Trusted', kinds.flag, false),
  gatewayPorts: keyword('GatewayPorts', kinds.flag, false),
  gssapiAuthentication: keyword('GSSAPIAuthentication', kinds.flag, false),
  gssapiDelegateCredentials: keyword('GSSAPIDelegateCredentials', kinds.flag, false),
  hashKnownHosts: keyword('HashKnownHosts', kinds.flag, false),
  hostbasedAuthentication: keyword('HostbasedAuthentication', kinds.flag, false),
  identitiesOnly: keyword('IdentitiesOnly', kinds.flag, false),
  kbdInteractiveAuthentication: keyword('KbdInteractiveAuthentication', kinds.flag, true, {
    aliases: ['ChallengeResponseAuthentication', 'SKeyAuthentication', 'TISAuthentication'],
  }),
  noHostAuthenticationForLocalhost: keyword('NoHostAuthenticationForLocalhost', kinds.flag, false),
  passwordAuthentication: keyword('PasswordAuthentication', kinds.flag, true),
  permitLocalCommand: keyword('PermitLocalCommand', kinds.flag, false),
  proxyUseFdpass: keyword('ProxyUseFdpass', kinds.flag, false),
  pubkeyAuthentication: keyword(
    'PubkeyAuthentication',
    kinds.choice({ yes, no, unbound: ['unbound'], 'host-bound': ['host-bound'] }),
    'yes',
    { aliases: ['DSAAuthentication'] },
  ),
  requestTTY: keyword('RequestTTY', kinds.choice({ yes, no, force: ['force'], auto: ['auto'] }), 'auto'),
  sessionType: keyword(
    'SessionType',
    kinds.choice({ none: ['none'], subsystem: ['subsystem'], default: ['default'] }),
    'default',
  ),
  stdinNull: keyword('StdinNull', kinds.flag, false),
  forkAfterAuthentication: keyword('ForkAfterAuthentication', kinds.flag, false),
  streamLocalBindUnlink: keyword('StreamLocalBindUnlink', kinds.flag, false),
  strictHostKeyChecking: keyword(
    'StrictHostKeyChecking',
    kinds.choice({ yes, no: [...no, 'off'], ask: ['ask'], 'accept-new': ['accept-new'] }),
    'ask',
  ),
  tcpKeepAlive: keyword('TCPKeepAlive', kinds.flag, true, { aliases: ['KeepAlive'] }),
  tunnel: keyword(
    'Tunnel',
    kinds.choice({ 'point-to-point': ['point-to-point', ...yes], no, ethernet: ['ethernet'] }),
    'no',
  ),
  verifyHostKeyDNS: keyword('VerifyHostKeyDNS', yesNoAsk, 'no'),
  visualHostKey: keyword('VisualHostKey', kinds.flag, false),
  updateHostKeys: keyword('UpdateHostKeys', yesNoAsk, 'yes'),
  enableEscapeCommandline: keyword('EnableEscapeCommandline', kinds.flag, false),
  warnWeakCrypto: keyword(
    'WarnWeakCrypto',
    kinds.choice({ yes: ['yes', 'true'], no: ['no', 'false', 'no-pq-kex'] }),
    'yes',
  ),
  canonicalizeMaxDots: keyword('CanonicalizeMaxDots', kinds.integer, 1),
  connectionAttempts: keyword('ConnectionAttempts', kinds.integer, 1),
  forwardX11Timeout: keyword('ForwardX11Timeout', kinds.time, 1200),
  numberOfPasswordPrompts: keyword('NumberOfPasswordPrompts', kinds.integer, 3),
  serverAliveCountMax: keyword('ServerAliveCountMax', kinds.integer, 3),
  serverAliveInterval: keyword('ServerAliveInterval', kinds.time, 0),
  requiredRSASize: keyword('RequiredRSASize', kinds.integer, 1024),
  obscureKeystrokeTiming: keyword('ObscureKeystrokeTiming', obscureKeystrokeTiming, keystrokeInterval),
  bindAddress: optional('BindAddress', kinds.text),
  bindInterface: optional('BindInterface', kinds.text),
  ciphers: keyword('Ciphers', kinds.algorithms('cipher', 'Bad SSH2 cipher spec'), names.cipher.defaults),
  controlPath: optional('ControlPath', kinds.text, { tokens: 'all' }),
  hostKeyAlgorithms: keyword(
    'HostKeyAlgorithms',
    kinds.algorithms('signature', 'Bad key types', 'allowed'),
    names.signature.defaults,
  ),
  hostKeyAlias: optional('HostKeyAlias', kinds.text),
  hostbasedAcceptedAlgorithms: keyword(
    'HostbasedAcceptedAlgorithms',
    kinds.algorithms('signature', 'Bad key types', 'allowed'),
    names.signature.defaults,
    { aliases: ['HostbasedKeyTypes'] },
  ),
  identityAgent: optional(
    'IdentityAgent',
    { ...kinds.text, parse: args => agentPath(args, args.need()) },
    { tokens: 'all' },
  ),
  ignoreUnknown: optional('IgnoreUnknown', kinds.text),
  kbdInteractiveDevices: optional('KbdInteractiveDevices', kinds.text),
  kexAlgorithms: keyword('KexAlgorithms', kinds.algorithms('kex', 'Bad SSH2 KexAlgorithms'), names.kex.defaults),
  caSignatureAlgorithms: keyword(
    'CASignatureAlgorithms',
    kinds.algorithms('caSignature', 'Bad key types', 'allowed'),
    names.caSignature.defaults,
  ),
  localCommand: optional('LocalCommand', kinds.command),
  remoteCommand: optional('RemoteCommand', kinds.command, { tokens: 'percent' }),
  logLevel: keyword('LogLevel', kinds.logLevel, 'INFO'),
  macs: keyword('MACs', kinds.algorithms('mac', 'Bad SSH2 MAC spec'), names.mac.defaults),
  pkcs11Provider: optional('PKCS11Provider', kinds.text, { aliases: ['SmartcardDevice'] }),
  securityKeyProvider: keyword<string | undefined>(
    'SecurityKeyProvider',
    kinds.text as Kind<string | undefined>,
    'internal',
  ),
  preferredAuthentications: optional('PreferredAuthentications', kinds.commaList),
  pubkeyAcceptedAlgorithms: keyword(
    'PubkeyAcceptedAlgorithms',
    kinds.algorithms('signature', 'Bad key types', 'allowed'),
    names.signature.defaults,
    { aliases: ['PubkeyAcceptedKeyTypes'] },
  ),
  xAuthLocation: keyword('XAuthLocation', kinds.text, '/usr/bin/xauth'),
  knownHostsCommand: optional('KnownHostsCommand', kinds.command),
  tag: optional('Tag', kinds.text),
  versionAddendum: optional('VersionAddendum', versionAddendum, { tokens: 'all' }),
  dynamicForward: keyword('DynamicForward', forwards('dynamic'), [], { merge: gatherForwards, tokens: 'percent' }),
  localForward: keyword('LocalForward', forwards('local'), [], { merge: gatherForwards, tokens: 'percent' }),
  remoteForward: keyword('RemoteForward', forwards('remote'), [], { merge: gatherForwards, tokens: 'percent' }),
  identityFile: keyword(
    'IdentityFile',
    file,
    [
      '~/.ssh/id_rsa',
      '~/.ssh/id_ecdsa',
      '~/.ssh/id_ecdsa_sk',
      '~/.ssh/id_ed25519',
      '~/.ssh/id_ed25519_sk',
      '~/.ssh/id_mldsa44_ed25519',
    ],
    { merge: gatherFiles('identity'), aliases: ['IdentityFile2'] },
  ),
  canonicalDomains: keyword('CanonicalDomains', canonicalDomains, []),
  certificateFile: keyword('CertificateFile', file, [], { merge: gatherFiles('certificate') }),
  globalKnownHostsFile: keyword('GlobalKnownHostsFile', kinds.words({ max: maxKnownHostsFiles }), [
    '/etc/ssh/ssh_known_hosts',
    '/etc/ssh/ssh_known_hosts2',
  ]),
  userKnownHostsFile: keyword(
    'UserKnownHostsFile',
    kinds.words({ max: maxKnownHostsFiles }),
    ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'],
    { tokens: 'all' },
  ),
  revokedHostKeys: keyword('RevokedHostKeys', revokedHostKeys, [], { tokens: 'all' }),
  sendEnv: keyword('SendEnv', sendEnv, [], { merge: mergeSendEnv }),
  setEnv: keyword('SetEnv', kinds.setEnv, [], { tokens: 'all' }),
  logVerbose: keyword('LogVerbose', kinds.words(), []),
  channelTimeout: keyword('ChannelTimeout', kinds.channelTimeouts, []),
  permitRemoteOpen: keyword('PermitRemoteOpen', permitRemoteOpen, ['any']),
  addKeysToAgent: keyword('AddKeysToAgent', addKeysToAgent, { mode: 'no', seconds: 0 }),
  forwardAgent: keyword('ForwardAgent', forwardAgent, false, { tokens: 'all' }),
  connectTimeout: keyword<number | undefined>('ConnectTimeout', kinds.time as Kind<number | undefined>, undefined, {
    print: value => (value === undefined ? 'none' : `${value}`),
  }),
  tunnelDevice: keyword('TunnelDevice', tunnelDevice, { local: 'any', remote: 'any' }),
  canonicalizePermittedCNAMEs: keyword('CanonicalizePermittedCNAMEs', permittedCnames, []),
  controlPersist: keyword('ControlPersist', controlPersist, false),
  escapeChar: keyword('EscapeChar', escapeChar, 0x7e),
  ipQoS: keyword('IPQoS', kinds.ipQos, { interactive: 0xb8, bulk: 0 }),
  rekeyLimit: keyword(
    'RekeyLimit',
    kinds.rekeyLimit,
    { bytes: 0, seconds: 0 },
    {
      merge: (current, value) => ({
        bytes: current?.bytes ?? value.bytes,
        seconds: current?.seconds ?? value.seconds,
      }),
    },
  ),
  streamLocalBindMask: keyword('StreamLocalBindMask', kinds.octal, 0o177),
  syslogFacility: keyword('SyslogFacility', kinds.syslogFacility, 'USER'),
  proxyCommand: optional('ProxyCommand', kinds.command, {
    // A ProxyJump that came first takes its place.
    merge: (current, value, others) => current ?? ((others('proxyJump') as unknown[])?.length ? current : value),
  }),
  proxyJump: keyword('ProxyJump', proxyJump, [], {
    merge: (current, value, others) =>
      current ?? (value.length > 0 && others('proxyCommand') !== undefined ? current : value),
  }),
  refuseConnection: optional('RefuseConnection', refuseConnection),
}

/** Every option of a connection, after files, `-o` and defaults. */
export type SshOptions = Options<typeof sshKeywords>
