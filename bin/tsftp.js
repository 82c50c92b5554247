#!/usr/bin/env node
require('../dist/commands/launch.cjs').launch(__dirname + '/../dist/commands', 'tsftp')
