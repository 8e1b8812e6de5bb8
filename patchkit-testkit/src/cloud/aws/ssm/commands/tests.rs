mod patching;
mod reading;
mod sending;
