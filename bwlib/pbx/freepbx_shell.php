<?php
/* What bw-runbook asks of FreePBX on its own shell, through FreePBX's own functions. Read from standard input, after a
   line that sets $bw_call (so that no secret is on a command line); run as the user asterisk. Field names are those of
   the GUI's forms. The answer is one line of JSON between two marks: FreePBX may print notes of its own. */

function bw_scalars($values) {
    return array_map('strval', array_filter((array) $values, fn($value) => is_scalar($value) || $value === null));
}

function bw_rows($thing) {
    $core = FreePBX::Core();
    $rows = [];
    if ($thing === 'trunk') {
        foreach ($core->listTrunks() as $row) {
            $rows[] = ['key' => (string) $row['trunkid']] + bw_scalars($row);
        }
    } elseif ($thing === 'route') {
        foreach ($core->getAllRoutes() as $row) {
            $rows[] = ['key' => (string) $row['route_id']] + bw_scalars($row);
        }
    } elseif ($thing === 'extension') {
        foreach ($core->getAllUsersByDeviceType() as $row) {
            $rows[] = ['key' => (string) $row['extension'], 'name' => (string) $row['extension'],
                'tech' => (string) ($row['tech'] ?? '')];
        }
    } else {
        foreach ($core->getAllDIDs() as $row) {
            $key = $row['extension'] . '/' . $row['cidnum'];
            $rows[] = ['key' => $key, 'name' => $key] + bw_scalars($row);
        }
    }
    return $rows;
}

function bw_row($thing, $key) {
    foreach (bw_rows($thing) as $row) {
        if ($row['key'] === $key) {
            return $row;
        }
    }
    throw new Exception("there is no $thing $key");
}

function bw_trunk($key) {
    $shown = FreePBX::Core()->getDriver('pjsip')->getDisplayVars($key === null ? '' : $key, []);
    $codecs = array_keys(array_filter((array) ($shown['codecs'] ?? [])));
    $fields = bw_scalars($shown);
    if (($fields['transport'] ?? '') === '') {  // the page has the first one chosen, and an empty one is no transport
        $udp = array_filter((array) ($shown['transports'] ?? []), fn($name) => substr($name, -4) === '-udp');
        $fields['transport'] = array_values($udp)[0] ?? '';
    }
    $fields['codec'] = implode(',', $codecs);
    if ($key !== null) {
        $row = bw_row('trunk', $key);
        foreach (['outcid', 'keepcid', 'provider', 'maxchans', 'dialoutprefix', 'continue', 'usercontext'] as $name) {
            $fields[$name] = $row[$name] ?? '';
        }
        $fields['trunk_name'] = $row['name'];
        $fields['disabletrunk'] = ($row['disabled'] ?? '') === 'on' ? 'on' : 'off';
        $fields['failtrunk'] = $row['failscript'] ?? '';
    }
    return $fields;
}

function bw_save_trunk($key, $changes) {
    $core = FreePBX::Core();
    $_POST = $_REQUEST = [];  // addTrunk would merge them into the settings
    $settings = $changes + bw_trunk($key);
    $settings['codec'] = array_flip(array_filter(explode(',', $settings['codec'])));
    $settings['channelid'] = $settings['trunk_name'];
    $settings += ['keepcid' => 'off', 'maxchans' => '', 'dialoutprefix' => '', 'failtrunk' => '', 'usercontext' => '',
        'provider' => '', 'disabletrunk' => 'off', 'continue' => 'off'];
    $settings['dialopts'] = false;
    if ($key === null) {
        $core->addTrunk($settings['trunk_name'], 'pjsip', $settings);
        return;
    }
    foreach ($core->listTrunks() as $row) {
        if ((string) $row['trunkid'] === $key) {
            $settings['dialopts'] = $row['dialopts'] ?? false;
        }
    }
    $core->deleteTrunk($key, 'pjsip', true);
    $core->addTrunk($settings['trunk_name'], 'pjsip', ['trunknum' => $key] + $settings, true);
}

function bw_route($key) {
    if ($key === null) {
        return ['emailsubject' => ''];
    }
    $routing = FreePBX::Core()->routing;
    $row = bw_scalars($routing->get($key));
    $patterns = [];
    foreach ($routing->getRoutePatternsById($key) as $one) {
        $patterns[] = ['prepend_digit' => $one['prepend_digits'], 'pattern_prefix' => $one['match_pattern_prefix'],
            'pattern_pass' => $one['match_pattern_pass'], 'match_cid' => $one['match_cid']];
    }
    return ['routename' => $row['name'] ?? '', 'routepass' => $row['password'] ?? '',
        'trunkpriority' => implode(',', $routing->getRouteTrunksById($key)), 'dialpatterndata' => json_encode($patterns),
    ] + $row + bw_scalars($routing->getRouteEmailByID($key) ?: []);
}

function bw_save_route($key, $changes) {
    $routing = FreePBX::Core()->routing;
    $all = $changes + bw_route($key);
    $patterns = [];
    foreach (json_decode($all['dialpatterndata'] ?? '[]', true) as $one) {
        $patterns[] = ['prepend_digits' => $one['prepend_digit'], 'match_pattern_prefix' => $one['pattern_prefix'],
            'match_pattern_pass' => $one['pattern_pass'], 'match_cid' => $one['match_cid']];
    }
    $has = fn($name, $else = '') => $all[$name] ?? $else;
    $arguments = [$all['routename'], $has('outcid'), $has('outcid_mode'), $has('routepass'), $has('emergency_route'),
        $has('intracompany_route'), $has('mohclass', 'default'), $has('time_group_id') ?: null, $patterns,
        array_values(array_filter(explode(',', $has('trunkpriority')))), $key === null ? 'bottom' : $has('seq', '0'),
        $has('dest'), $has('time_mode'), $has('timezone'), $has('calendar_id'), $has('calendar_group_id'),
        $has('notification_on', 'call'), $has('emailfrom'), $has('emailto'), $has('emailsubject'), $has('emailbody')];
    $key === null ? $routing->add(...$arguments) : $routing->editById($key, ...$arguments);
}

function bw_extension($key) {
    if ($key === null) {
        return [];
    }
    $fields = bw_scalars(FreePBX::Core()->getUser($key));
    foreach (bw_scalars(FreePBX::Core()->getDevice($key)) as $name => $value) {
        $fields["devinfo_$name"] = $value;
    }
    unset($fields['password']);
    return ['extension' => $key] + $fields;
}

function bw_save_extension($key, $changes) {
    $core = FreePBX::Core();
    $number = $changes['extension'];
    if ($key === null) {
        $made = $core->processQuickCreate('pjsip', $number, ['name' => $changes['name'], 'outboundcid' => '',
            'secret' => $changes['devinfo_secret'], 'callerid' => "{$changes['name']} <$number>"]);
        if (empty($made['status'])) {
            throw new Exception('the extension was not made');
        }
    }
    $settings = [];
    $flag = 2;
    foreach ($core->getDevice($number) as $name => $value) {
        if ($name !== 'id' && $name !== 'tech') {
            $settings[$name] = ['value' => $value, 'flag' => $flag++];
        }
    }
    foreach ($changes as $name => $value) {
        if (strpos($name, 'devinfo_') === 0) {
            $settings[substr($name, 8)] = ['value' => $value, 'flag' => $flag++];
        }
    }
    $settings['description'] = ['value' => $changes['name'], 'flag' => $flag++];
    $settings['callerid'] = ['value' => "{$changes['name']} <$number>", 'flag' => $flag++];
    $user = ['name' => $changes['name'], 'outboundcid' => $changes['outboundcid'],
        'accountcode' => $settings['accountcode']['value'] ?? ''] + $core->getUser($number);
    $core->delDevice($number, true);
    $core->addDevice($number, 'pjsip', $settings, true);
    $core->delUser($number, true);
    $core->addUser($number, $user, true);
}

function bw_save_did($key, $changes) {
    $core = FreePBX::Core();
    if ($key === null) {
        $core->addDID($changes);
        return;
    }
    [$extension, $caller] = explode('/', $key, 2);
    $core->editDID($extension, $caller, $changes + bw_row('did', $key));
}

function bw_delete($thing, $key) {
    $core = FreePBX::Core();
    if ($thing === 'trunk') {
        $core->deleteTrunk($key, 'pjsip');
    } elseif ($thing === 'route') {
        $core->routing->deleteById($key);
    } elseif ($thing === 'extension') {
        $core->delUser($key);
        $core->delDevice($key);
    } else {
        $core->delDID(...explode('/', $key, 2));
    }
    needreload();
}

function bw_fields($thing, $key) {
    $fields = $thing === 'did' ? bw_row('did', $key) : ("bw_$thing")($key);
    return (object) $fields;
}

function bw_save($thing, $key, $changes) {
    ("bw_save_$thing")($key, $changes);
    needreload();
}

function bw_facts() {
    return ['reload_due' => (bool) check_reload_needed(), 'version' => (string) getversion(),
        'asterisk' => (string) FreePBX::Config()->get('ASTVERSION')];
}

function bw_sip_settings() {
    $settings = FreePBX::Sipsettings();
    return ['externip' => (string) $settings->getConfig('externip'),
        'allowanon' => (string) $settings->getConfig('allowanon')];
}

$bootstrap_settings = ['freepbx_auth' => false];
try {
    include $bw_call['conf'];
    $bw_answer = ['said' => ('bw_' . $bw_call['do'])(...$bw_call['with'])];
} catch (Throwable $bw_error) {
    $bw_answer = ['error' => get_class($bw_error) . ': ' . $bw_error->getMessage()];
}
echo "\n<<<bw-runbook " . json_encode($bw_answer, JSON_INVALID_UTF8_SUBSTITUTE) . " bw-runbook>>>\n";
