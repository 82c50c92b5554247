import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/openssh/errors.ts'
import { type LintFinding, lintSshConfig, lintSshdConfig, type ReadIncludes } from '../../src/openssh/lint.ts'

const rules = (text: string) => lintSshConfig(text, 'f').map(({ line, rule }) => `${line} ${rule}`)
const serverRules = (text: string) => lintSshdConfig(text, 'f').map(({ line, rule }) => `${line} ${rule}`)

describe('ssh_config', () => {
  test.each([
    ['nothing wrong', 'Host a\n Port 22\nHost b\n Port 23\n', []],
    ['unknown', 'Prot 22\n', ['1 unknown']],
    ['unknown but ignored', 'IgnoreUnknown Prot\nProt 22\n', []],
    ['malformed', 'Port x\n', ['1 malformed']],
    ['twice in a block', 'Host a\n Port 1\n Port 2\n', ['3 shadowed']],
    ['after a block for all', 'Host *\n Port 1\nHost a\n Port 2\n', ['4 shadowed']],
    ['before a block for all', 'Host a\n Port 1\nHost *\n Port 2\n', []],
    ['gathered keywords', 'IdentityFile a\nIdentityFile b\nSendEnv A\nSendEnv B\n', []],
    ['without effect', 'UseRoaming no\n', ['1 deprecated']],
    ['old name', 'PubkeyAcceptedKeyTypes +ssh-rsa\n', ['1 deprecated', '1 weak']],
    [
      'weak',
      'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nCiphers +aes128-cbc\n',
      ['1 weak', '2 weak', '3 weak'],
    ],
    ['taking weak ones away', 'Ciphers -aes128-cbc,3des-cbc\n', []],
    ['contradictory', 'ProxyJump a\nProxyCommand b\n', ['2 contradictory']],
    ['not contradictory', 'ProxyJump none\nProxyCommand b\n', []],
    ['ignored by another pattern', 'IgnoreUnknown Foo*\nProt 22\n', ['2 unknown']],
    ['an agent for every host', 'ForwardAgent yes\nHost a\n ForwardAgent no\n', ['1 weak', '3 shadowed']],
    ['an agent for one host', 'Host a\n ForwardAgent yes\n', []],
    ['small keys', 'RequiredRSASize 1024\n', ['1 weak']],
    ['an open quote', 'User "a\n', ['1 malformed']],
    ['no argument', 'User\n', ['1 malformed']],
  ])('%s', (_, text, expected) => {
    expect(rules(text)).toEqual(expected)
  })

  test('a finding says where, what and what to do', () => {
    expect(lintSshConfig('\nPrt 22\n', '/x/config')).toEqual([
      {
        file: '/x/config',
        line: 2,
        severity: 'error',
        rule: 'unknown',
        message: 'there is no keyword Prt',
        fix: 'did you mean Port?',
      },
    ])
  })
})

describe('sshd_config', () => {
  test.each([
    ['a Match block comes before the global value', 'PermitTTY yes\nMatch user a\n PermitTTY no\n', []],
    ['after Match all', 'Match all\n PermitTTY yes\nMatch user a\n PermitTTY no\n', ['4 shadowed']],
    ['twice', 'MaxSessions 1\nMaxSessions 2\n', ['2 shadowed']],
    ['weak', 'PermitRootLogin yes\nPermitEmptyPasswords yes\nStrictModes no\n', ['1 weak', '2 weak', '3 weak']],
    ['without effect', 'UsePrivilegeSeparation yes\n', ['1 deprecated']],
    ['contradictory', 'DisableForwarding yes\nAllowTcpForwarding local\n', ['2 contradictory']],
    ['passwords that PAM asks for', 'UsePAM yes\nPasswordAuthentication no\n', ['2 contradictory']],
    ['no passwords at all', 'UsePAM yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n', []],
    ['root allowed and not', 'PermitRootLogin no\nAllowUsers a root\n', ['2 contradictory']],
    ['a user allowed and denied', 'AllowUsers a b\nDenyUsers b\n', ['1 contradictory']],
    ['a login without end', 'LoginGraceTime 0\n', ['1 weak']],
  ])('%s', (_, text, expected) => {
    expect(serverRules(text)).toEqual(expected)
  })
})

describe('included files', () => {
  const files: Readonly<Record<string, string>> = {
    port: 'Port 1\nHost a\n User b\n',
    user: 'User c\n',
    all: 'Match all\n MaxSessions 1\n',
    wrong: 'Prot 1\n',
  }
  const includes: ReadIncludes = ({ words = [], file, line }, depth) => {
    if (depth > 3) throw new ConfigError(file, line, 'too deep')
    return words.map(word => ({ file: word, text: files[word] ?? 'Include again\n' }))
  }
  const both = (findings: readonly LintFinding[]) => findings.map(({ file, line, rule }) => `${file}:${line} ${rule}`)

  test.each([
    ['what they set first wins', 'Include port\nPort 2\n', ['f:2 shadowed']],
    ['they come too late', 'Port 2\nInclude port\n', ['port:1 shadowed']],
    ['their blocks end with them', 'Include port\nUser d\n', []],
    ['they are part of the block', 'Host x\n Include user\n User d\n', ['f:3 shadowed']],
    ['of another block', 'Host x\n Include user\nHost y\n User d\n', []],
    ['their own mistakes', 'Include wrong\nPrt 3\n', ['f:2 unknown', 'wrong:1 unknown']],
    ['without end', 'Include again\n', ['again:1 malformed']],
  ])('%s', (_, text, expected) => {
    expect(both(lintSshConfig(text, 'f', includes))).toEqual(expected)
  })

  test('a Match block of an included file of the server', () => {
    expect(both(lintSshdConfig('MaxSessions 2\nInclude all\n', 'f', includes))).toEqual([])
    expect(both(lintSshdConfig('Include all\nMatch user a\n MaxSessions 3\n', 'f', includes))).toEqual(['f:3 shadowed'])
  })
})
