<?php
/* Stands in for /etc/freepbx.conf in tests of bwlib/pbx/freepbx_shell.php: the few functions that it calls, by their
   names and arguments, over a state in a JSON file. Nothing of FreePBX's own is in it. */

class State {
    public static $file;
    public static $all = ['trunk' => [], 'pjsip' => [], 'route' => [], 'patterns' => [], 'routetrunks' => [],
        'email' => [], 'user' => [], 'device' => [], 'did' => [], 'due' => false, 'sip' => ['externip' => '203.0.113.5']];

    public static function load() {
        self::$file = getenv('FAKE_FREEPBX_STATE');
        if (is_file(self::$file)) {
            self::$all = json_decode(file_get_contents(self::$file), true);
        }
        register_shutdown_function(fn() => file_put_contents(self::$file, json_encode(self::$all)));
    }
}

class Driver {
    public function getDisplayVars($key, $before) {
        if ($key === '') {
            return ['context' => 'from-pstn', 'transport' => null, 'codecs' => ['ulaw' => true, 'h264' => true],
                'qualify_frequency' => 60, 'dtmfmode' => 'auto', 'sendrpid' => 'no', 'authentication' => 'outbound',
                'registration' => 'send', 'transports' => ['0.0.0.0-tcp', '0.0.0.0-udp']];
        }
        $shown = State::$all['pjsip'][$key];
        $shown['codecs'] = array_fill_keys(explode(',', $shown['codecs']), true) + ['opus' => false];
        return $shown + ['transports' => ['0.0.0.0-udp']];
    }
}

class Routing {
    public function get($id) {
        return State::$all['route'][$id];
    }

    public function getRoutePatternsById($id) {
        return State::$all['patterns'][$id];
    }

    public function getRouteTrunksById($id) {
        return State::$all['routetrunks'][$id];
    }

    public function getRouteEmailByID($id) {
        return State::$all['email'][$id];
    }

    public function add($name, ...$rest) {
        $this->editById((string) (count(State::$all['route']) + 1), $name, ...$rest);
    }

    public function editById($id, $name, $outcid, $outcid_mode, $password, $emergency, $intracompany, $mohclass,
        $time_group_id, $patterns, $trunks, $seq, $dest, $time_mode, $timezone, $calendar, $calendar_group, $on, $from,
        $to, $subject, $body) {
        State::$all['route'][$id] = ['route_id' => $id, 'name' => $name, 'outcid' => $outcid, 'password' => $password,
            'mohclass' => $mohclass, 'seq' => $seq, 'time_group_id' => $time_group_id, 'notification_on' => $on];
        State::$all['patterns'][$id] = $patterns;
        State::$all['routetrunks'][$id] = $trunks;
        State::$all['email'][$id] = ['emailto' => $to, 'emailsubject' => $subject];
    }

    public function deleteById($id) {
        unset(State::$all['route'][$id]);
    }
}

class Core {
    public $routing;

    public function __construct() {
        $this->routing = new Routing();
    }

    public function getDriver($name) {
        return new Driver();
    }

    public function listTrunks() {
        return State::$all['trunk'];
    }

    public function addTrunk($name, $tech, $settings, $edit = false) {
        if ($_POST) {
            throw new Exception('merged with a form');
        }
        $id = $edit ? $settings['trunknum'] : (string) (count(State::$all['trunk']) + 1);
        $settings['codecs'] = implode(',', array_keys($settings['codec']));
        State::$all['pjsip'][$id] = array_filter($settings, 'is_scalar');
        State::$all['trunk'][$id] = ['trunkid' => $id, 'name' => $name, 'tech' => $tech, 'outcid' => $settings['outcid'],
            'keepcid' => $settings['keepcid'], 'provider' => $settings['provider'],
            'disabled' => $settings['disabletrunk'], 'continue' => $settings['continue'], 'maxchans' => '',
            'dialopts' => $settings['dialopts']];
        return $id;
    }

    public function deleteTrunk($id, $tech = null, $edit = false) {
        unset(State::$all['trunk'][$id], State::$all['pjsip'][$id]);
    }

    public function getAllRoutes() {
        return array_values(State::$all['route']);
    }

    public function getAllUsersByDeviceType($type = '') {
        return array_map(fn($user) => $user + ['tech' => 'pjsip'], array_values(State::$all['user']));
    }

    public function getUser($number) {
        return State::$all['user'][$number] ?? [];
    }

    public function getDevice($number) {
        return State::$all['device'][$number] ?? [];
    }

    public function processQuickCreate($tech, $number, $data) {
        if (isset(State::$all['user'][$number])) {
            return ['status' => false, 'message' => 'in use'];
        }
        $this->addUser($number, ['name' => $data['name'], 'outboundcid' => $data['outboundcid']]);
        State::$all['device'][$number] = ['id' => $number, 'tech' => $tech, 'secret' => $data['secret'],
            'context' => 'from-internal', 'accountcode' => '', 'dtmfmode' => 'rfc4733', 'description' => $data['name']];
        return ['status' => true];
    }

    public function addUser($number, $settings, $edit = false) {
        State::$all['user'][$number] = ['extension' => $number, 'password' => 'a-voicemail-pin'] + $settings;
    }

    public function delUser($number, $edit = false) {
        unset(State::$all['user'][$number]);
    }

    public function addDevice($number, $tech, $settings, $edit = false) {
        State::$all['device'][$number] = ['id' => $number, 'tech' => $tech] + array_column_keyed($settings);
    }

    public function delDevice($number, $edit = false) {
        unset(State::$all['device'][$number]);
    }

    public function getAllDIDs() {
        return array_values(State::$all['did']);
    }

    public function addDID($settings) {
        State::$all['did']["{$settings['extension']}/{$settings['cidnum']}"] = $settings;
    }

    public function editDID($extension, $caller, $settings) {
        $this->delDID($extension, $caller);
        $this->addDID($settings);
    }

    public function delDID($extension, $caller) {
        unset(State::$all['did']["$extension/$caller"]);
    }
}

function array_column_keyed($settings) {
    return array_map(fn($setting) => $setting['value'], $settings);
}

class Settings {
    public function get($name) {
        return '22.10.1';
    }

    public function getConfig($name) {
        return State::$all['sip'][$name] ?? '';
    }
}

class FreePBX {
    public static function Core() {
        return new Core();
    }

    public static function Config() {
        return new Settings();
    }

    public static function Sipsettings() {
        return new Settings();
    }
}

function needreload() {
    State::$all['due'] = true;
}

function check_reload_needed() {
    return State::$all['due'];
}

function getversion() {
    return '17.0.28';
}

State::load();
echo "a note of FreePBX's own on standard output\n";
if (!empty(State::$all['broken'])) {
    throw new Exception('could not store ' . json_encode($GLOBALS['bw_call']));
}
