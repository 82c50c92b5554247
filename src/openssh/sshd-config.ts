import { opensshAlgorithmNames as names } from './algorithm-names.ts'
import { type Arguments, type Keyword, type Kind, keyword, type Options, optional } from './keyword.ts'
import { matchAddressList } from './pattern.ts'
import * as sshd from './sshd-values.ts'
import * as kinds from './values.ts'

/** Keywords of sshd_config that are read and do nothing, with what sshd says of each and where they may stand. */
export const formerSshdKeywords: Readonly<
  Record<string, { readonly fate: 'ignored' | 'deprecated' | 'unsupported'; readonly scope: 'global' | 'match' }>
> = {
  protocol: { fate: 'ignored', scope: 'global' },
  serverkeybits: { fate: 'deprecated', scope: 'global' },
  keyregenerationinterval: { fate: 'deprecated', scope: 'global' },
  rhostsauthentication: { fate: 'deprecated', scope: 'global' },
  rhostsrsaauthentication: { fate: 'deprecated', scope: 'match' },
  rsaauthentication: { fate: 'deprecated', scope: 'match' },
  checkmail: { fate: 'deprecated', scope: 'global' },
  uselogin: { fate: 'deprecated', scope: 'global' },
  verifyreversemapping: { fate: 'deprecated', scope: 'global' },
  reversemappingcheck: { fate: 'deprecated', scope: 'global' },
  authorizedkeysfile2: { fate: 'deprecated', scope: 'match' },
  useprivilegeseparation: { fate: 'deprecated', scope: 'global' },
  kerberostgtpassing: { fate: 'deprecated', scope: 'global' },
  afstokenpassing: { fate: 'deprecated', scope: 'global' },
  kerberosauthentication: { fate: 'unsupported', scope: 'match' },
  kerberosorlocalpasswd: { fate: 'unsupported', scope: 'global' },
  kerberosticketcleanup: { fate: 'unsupported', scope: 'global' },
  kerberosgetafstoken: { fate: 'unsupported', scope: 'global' },
}

/** Old spellings, in lower case, that may not stand in a Match block though their keyword may. */
export const globalSpellings: readonly string[] = ['dsaauthentication']

const match = { scope: 'match' } as const

/** Lists that grow with every line that applies. */
function append<T>(current: readonly T[] | undefined, value: readonly T[]): readonly T[] {
  return [...(current ?? []), ...value]
}

/** A later line takes the place of an earlier one, against the rule. */
const last = <T>(_current: T | undefined, value: T): T => value

/** An option that prints `none` while it is not set. */
function orNone<T>(
  name: string,
  kind: Kind<T>,
  extras: Parameters<typeof optional<T>>[2] = {},
): Keyword<T | undefined> {
  return optional(name, kind, {
    ...extras,
    print: value => (value === undefined ? 'none' : kind.print(value)),
  })
}

const exemptList: Kind<string> = {
  ...kinds.text,
  parse(args: Arguments) {
    const list = args.need('missing argument.')
    return matchAddressList(undefined, list) === 'invalid'
      ? args.fail(`keyword ${args.keyword} invalid address argument.`)
      : list
  },
}

const signatures = kinds.algorithms('signature', 'Bad key types', 'allowed')

/**
 * The options of sshd_config(5), in the order in which `sshd -T` prints them. The first value wins unless the row says
 * otherwise; `scope: 'match'` may stand in a Match block, and there comes before the global value.
 */
export const sshdKeywords = {
  port: keyword('Port', sshd.ports, [22], { merge: append }),
  addressFamily: keyword('AddressFamily', kinds.addressFamily, 'any'),
  listenAddress: keyword('ListenAddress', sshd.listenAddresses, [], { merge: append }),
  usePAM: keyword('UsePAM', sshd.flag, false),
  pamServiceName: keyword('PAMServiceName', kinds.text, 'sshd', match),
  loginGraceTime: keyword('LoginGraceTime', sshd.time, 120),
  x11DisplayOffset: keyword('X11DisplayOffset', sshd.integer, 10, match),
  maxAuthTries: keyword('MaxAuthTries', sshd.integer, 6, match),
  maxSessions: keyword('MaxSessions', sshd.integer, 10, match),
  clientAliveInterval: keyword('ClientAliveInterval', sshd.time, 0, match),
  clientAliveCountMax: keyword('ClientAliveCountMax', sshd.integer, 3, match),
  requiredRSASize: keyword('RequiredRSASize', sshd.integer, 1024, match),
  streamLocalBindMask: keyword('StreamLocalBindMask', kinds.octal, 0o177, { ...match, merge: last }),
  unusedConnectionTimeout: keyword('UnusedConnectionTimeout', sshd.timeOrNone, 0, match),
  permitRootLogin: keyword(
    'PermitRootLogin',
    kinds.choice({
      'prohibit-password': ['prohibit-password', 'without-password'],
      'forced-commands-only': ['forced-commands-only'],
      yes: ['yes'],
      no: ['no'],
    }),
    'prohibit-password',
    match,
  ),
  ignoreRhosts: keyword(
    'IgnoreRhosts',
    kinds.choice({ yes: ['yes'], no: ['no'], 'shosts-only': ['shosts-only'] }),
    'yes',
    match,
  ),
  ignoreUserKnownHosts: keyword('IgnoreUserKnownHosts', sshd.flag, false),
  hostbasedAuthentication: keyword('HostbasedAuthentication', sshd.flag, false, match),
  hostbasedUsesNameFromPacketOnly: keyword('HostbasedUsesNameFromPacketOnly', sshd.flag, false, match),
  pubkeyAuthentication: keyword('PubkeyAuthentication', sshd.flag, true, { ...match, aliases: ['DSAAuthentication'] }),
  gssapiAuthentication: keyword('GSSAPIAuthentication', sshd.flag, false, match),
  gssapiCleanupCredentials: keyword('GSSAPICleanupCredentials', sshd.flag, true),
  gssapiDelegateCredentials: keyword('GSSAPIDelegateCredentials', sshd.flag, true),
  gssapiStrictAcceptorCheck: keyword('GSSAPIStrictAcceptorCheck', sshd.flag, true),
  passwordAuthentication: keyword('PasswordAuthentication', sshd.flag, true, match),
  kbdInteractiveAuthentication: keyword('KbdInteractiveAuthentication', sshd.flag, true, {
    ...match,
    aliases: ['ChallengeResponseAuthentication', 'SKeyAuthentication'],
  }),
  printMotd: keyword('PrintMotd', sshd.flag, true),
  printLastLog: keyword('PrintLastLog', sshd.flag, true),
  x11Forwarding: keyword('X11Forwarding', sshd.flag, false, match),
  x11UseLocalhost: keyword('X11UseLocalhost', sshd.flag, true, match),
  permitTTY: keyword('PermitTTY', sshd.flag, true, match),
  permitUserRC: keyword('PermitUserRC', sshd.flag, true, match),
  strictModes: keyword('StrictModes', sshd.flag, true),
  tcpKeepAlive: keyword('TCPKeepAlive', sshd.flag, true, { aliases: ['KeepAlive'] }),
  permitEmptyPasswords: keyword('PermitEmptyPasswords', sshd.flag, false, match),
  compression: keyword('Compression', kinds.choice({ yes: ['yes', 'delayed'], no: ['no'] }), 'yes'),
  gatewayPorts: keyword(
    'GatewayPorts',
    kinds.choice({ clientspecified: ['clientspecified'], yes: ['yes'], no: ['no'] }),
    'no',
    match,
  ),
  useDNS: keyword('UseDNS', sshd.flag, false),
  allowTcpForwarding: keyword('AllowTcpForwarding', sshd.forwardingChoice, 'yes', match),
  allowAgentForwarding: keyword('AllowAgentForwarding', sshd.flag, true, match),
  disableForwarding: keyword('DisableForwarding', sshd.flag, false, match),
  allowStreamLocalForwarding: keyword('AllowStreamLocalForwarding', sshd.forwardingChoice, 'yes', match),
  streamLocalBindUnlink: keyword('StreamLocalBindUnlink', sshd.flag, false, match),
  fingerprintHash: keyword('FingerprintHash', kinds.fingerprintHash, 'SHA256', { merge: last }),
  exposeAuthInfo: keyword('ExposeAuthInfo', sshd.flag, false, match),
  refuseConnection: keyword('RefuseConnection', sshd.flag, false, match),
  pidFile: orNone('PidFile', sshd.file),
  moduliFile: keyword('ModuliFile', sshd.file, '/etc/ssh/moduli'),
  xAuthLocation: orNone('XAuthLocation', sshd.file),
  ciphers: keyword('Ciphers', kinds.algorithms('cipher', 'Bad SSH2 cipher spec'), names.cipher.defaults),
  macs: keyword('Macs', kinds.algorithms('mac', 'Bad SSH2 mac spec'), names.mac.defaults),
  banner: orNone('Banner', sshd.file, match),
  forceCommand: orNone('ForceCommand', kinds.command, match),
  chrootDirectory: orNone('ChrootDirectory', kinds.text, match),
  trustedUserCAKeys: orNone('TrustedUserCAKeys', sshd.file, match),
  securityKeyProvider: orNone('SecurityKeyProvider', sshd.securityKeyProvider),
  authorizedPrincipalsFile: orNone('AuthorizedPrincipalsFile', kinds.text, match),
  versionAddendum: keyword('VersionAddendum', sshd.versionAddendum, ''),
  authorizedKeysCommand: orNone('AuthorizedKeysCommand', sshd.absoluteCommand, match),
  authorizedKeysCommandUser: orNone('AuthorizedKeysCommandUser', kinds.text, match),
  authorizedPrincipalsCommand: orNone('AuthorizedPrincipalsCommand', sshd.absoluteCommand, match),
  authorizedPrincipalsCommandUser: orNone('AuthorizedPrincipalsCommandUser', kinds.text, match),
  hostKeyAgent: orNone('HostKeyAgent', sshd.agentSocket),
  kexAlgorithms: keyword(
    'KexAlgorithms',
    kinds.algorithms('serverKex', 'Bad SSH2 KexAlgorithms'),
    names.serverKex.defaults,
  ),
  caSignatureAlgorithms: keyword(
    'CASignatureAlgorithms',
    kinds.algorithms('caSignature', 'Bad key types', 'allowed'),
    names.caSignature.defaults,
    match,
  ),
  hostbasedAcceptedAlgorithms: keyword('HostbasedAcceptedAlgorithms', signatures, names.signature.defaults, {
    ...match,
    aliases: ['HostBasedAcceptedKeyTypes'],
  }),
  hostKeyAlgorithms: keyword('HostKeyAlgorithms', signatures, names.signature.defaults),
  pubkeyAcceptedAlgorithms: keyword('PubkeyAcceptedAlgorithms', signatures, names.signature.defaults, {
    ...match,
    aliases: ['PubkeyAcceptedKeyTypes'],
  }),
  rDomain: optional('RDomain', sshd.routingDomain, match),
  sshdSessionPath: orNone('SshdSessionPath', sshd.file),
  sshdAuthPath: orNone('SshdAuthPath', sshd.file),
  perSourcePenaltyExemptList: orNone('PerSourcePenaltyExemptList', exemptList),
  logLevel: keyword('LogLevel', kinds.logLevel, 'INFO', match),
  syslogFacility: keyword('SyslogFacility', kinds.syslogFacility, 'AUTH'),
  authorizedKeysFile: keyword(
    'AuthorizedKeysFile',
    sshd.files,
    ['.ssh/authorized_keys', '.ssh/authorized_keys2'],
    match,
  ),
  revokedKeys: keyword('RevokedKeys', sshd.files, [], match),
  hostKey: keyword(
    'HostKey',
    sshd.oneFile,
    [
      '/etc/ssh/ssh_host_rsa_key',
      '/etc/ssh/ssh_host_ecdsa_key',
      '/etc/ssh/ssh_host_ed25519_key',
      '/etc/ssh/ssh_host_mldsa44_ed25519_key',
    ],
    { aliases: ['HostDSAKey'], merge: append },
  ),
  hostCertificate: keyword('HostCertificate', sshd.oneFile, [], { merge: append }),
  allowUsers: keyword('AllowUsers', sshd.userPatterns, [], { ...match, merge: append }),
  denyUsers: keyword('DenyUsers', sshd.userPatterns, [], { ...match, merge: append }),
  allowGroups: keyword('AllowGroups', sshd.groupPatterns, [], { ...match, merge: append }),
  denyGroups: keyword('DenyGroups', sshd.groupPatterns, [], { ...match, merge: append }),
  acceptEnv: keyword('AcceptEnv', sshd.environmentNames, [], { ...match, merge: append }),
  setEnv: keyword('SetEnv', kinds.setEnv, [], match),
  authenticationMethods: keyword('AuthenticationMethods', sshd.authenticationMethods, [], match),
  logVerbose: keyword('LogVerbose', sshd.files, [], match),
  channelTimeout: keyword('ChannelTimeout', kinds.channelTimeouts, [], match),
  subsystem: keyword('Subsystem', sshd.subsystems, [], { ...match, merge: sshd.addSubsystems }),
  maxStartups: keyword('MaxStartups', sshd.maxStartups, { begin: 10, rate: 30, full: 100 }),
  perSourceMaxStartups: keyword('PerSourceMaxStartups', sshd.integerOrNone, Number.POSITIVE_INFINITY),
  perSourceNetBlockSize: keyword('PerSourceNetBlockSize', sshd.netBlockSize, { ipv4: 32, ipv6: 128 }),
  permitTunnel: keyword('PermitTunnel', sshd.exactChoice('no', 'point-to-point', 'ethernet', 'yes'), 'no', match),
  ipQoS: keyword('IPQoS', kinds.ipQos, { interactive: 0xb8, bulk: 0 }, match),
  rekeyLimit: keyword(
    'RekeyLimit',
    kinds.rekeyLimit,
    { bytes: 0, seconds: 0 },
    { ...match, merge: sshd.mergeRekeyLimit },
  ),
  permitOpen: keyword('PermitOpen', sshd.permittedAddresses('open'), ['any'], match),
  permitListen: keyword('PermitListen', sshd.permittedAddresses('listen'), ['any'], match),
  permitUserEnvironment: keyword('PermitUserEnvironment', sshd.userEnvironment, false),
  pubkeyAuthOptions: keyword('PubkeyAuthOptions', sshd.pubkeyAuthOptions, [], match),
  perSourcePenalties: keyword('PerSourcePenalties', sshd.perSourcePenalties, sshd.defaultPenalties, {
    merge: (current, value) => ({ ...value, ...current }),
  }),
}

/** Every option of the server, or of one connection to it. */
export type SshdOptions = Options<typeof sshdKeywords>
