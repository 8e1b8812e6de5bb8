//! The private addresses of machines: each its own in the whole world.

/// The zones of every Region. Each has a subnet, and each subnet a quarter of `10.0.0.0/8`.
pub(crate) const ZONES: [char; 3] = ['a', 'b', 'c'];

/// The first addresses of a subnet are the cloud's own: the network, its router, its names (VPC user
/// guide, "Subnet CIDR blocks"; Azure, "Virtual network FAQ").
pub(crate) const RESERVED: u32 = 4;

/// The range of a zone's subnet. It is wider than AWS would have it, as a world holds more machines.
pub(crate) fn subnet(zone: char) -> String {
    format!("10.{}.0.0/10", quarter(zone))
}

/// The address of the machine with this number, in the subnet of its zone where it has one.
pub(crate) fn address(number: u32, zone: Option<char>) -> [u8; 4] {
    let [_, high, middle, low] = number.saturating_add(RESERVED).to_be_bytes();
    [10, high | zone.map_or(0, quarter), middle, low]
}

fn quarter(zone: char) -> u8 {
    let place = ZONES.iter().zip([0, 64, 128]).find(|(it, _)| **it == zone);
    place.map_or(0, |(_, quarter)| quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_subnet_of_its_zone_behind_the_reserved_ones() {
        assert_eq!(address(0, None), [10, 0, 0, 4]);
        assert_eq!(address(0, Some('a')), [10, 0, 0, 4]);
        assert_eq!(address(0, Some('b')), [10, 64, 0, 4]);
        assert_eq!(address(99_999, Some('c')), [10, 129, 134, 163]);
        assert_eq!(subnet('c'), "10.128.0.0/10");
    }
}
