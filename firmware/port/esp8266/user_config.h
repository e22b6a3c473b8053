/*
 * user_config.h: the SDK's headers ask for a file of this name. There is nothing to set.
 */
