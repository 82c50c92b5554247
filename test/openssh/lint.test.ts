import { describe, expect, test } from 'vitest'
import { lintSshConfig, lintSshdConfig } from '../../src/openssh/lint.ts'

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
  ])('%s', (_, text, expected) => {
    expect(serverRules(text)).toEqual(expected)
  })
})
